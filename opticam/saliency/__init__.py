"""Saliency methods, one a file, all with one protocol."""
