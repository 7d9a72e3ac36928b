"""Explain a classifier with a saliency map and judge the explanation (Opti-CAM, CVIU 2024)."""

import lazy_loader

# The names are those of __init__.pyi; each is loaded when it is first asked for, so that --help waits for nothing.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
