"""The commands of opticam, and what all commands of the project share: options, and how they end."""
