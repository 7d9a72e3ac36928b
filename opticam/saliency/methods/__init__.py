"""One file per saliency method, and what families of methods share."""
