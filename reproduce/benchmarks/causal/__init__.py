"""Insertion and deletion, measured against a plain loop."""
