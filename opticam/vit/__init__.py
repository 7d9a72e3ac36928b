"""Vision transformers of any library: their blocks, tokens, attention and relevance."""
