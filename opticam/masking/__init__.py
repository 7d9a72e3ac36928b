"""The fused saliency-masking step."""
