"""Opti-CAM's tables and figures, one file each."""
