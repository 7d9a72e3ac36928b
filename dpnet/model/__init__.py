"""Regions, the part layer, its constraints and starting points, and what a model gives on features."""
