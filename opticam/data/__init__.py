"""Images with labels and boxes: built-in samples and ImageNet."""
