"""Questions beyond the papers, some with pictures and weights of one's own; their answers are committed."""
