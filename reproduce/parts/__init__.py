"""DP-Net's training runs and part rows: data, choices by cross-validation, models."""
