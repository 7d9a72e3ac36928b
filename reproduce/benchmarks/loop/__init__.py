"""Opti-CAM's loop, Grad-CAM and Score-CAM, measured against plain loops and other packages."""
