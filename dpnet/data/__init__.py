"""Pictures, the frozen features made of them, and in which order they are read."""
