"""Pictures with labels and boxes: ImageNet and folders laid out like it, and files of tensors."""
