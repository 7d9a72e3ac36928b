"""Explain a classifier with a saliency map and judge the explanation (Opti-CAM, CVIU 2024)."""

from opticam.classifier import Classifier
from opticam.saliency import METHODS, FakeCAM, GradCAM, OptiCAM

__all__ = ["METHODS", "Classifier", "FakeCAM", "GradCAM", "OptiCAM"]
