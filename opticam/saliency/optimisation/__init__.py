"""What Opti-CAM optimises and one iteration of it, also as a captured CUDA graph."""
