"""The commands of dpnet and their options."""
