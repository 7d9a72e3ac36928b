"""The training loop, what it minimises, what is chosen by cross-validation, and what is kept."""
