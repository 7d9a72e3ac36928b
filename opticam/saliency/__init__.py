"""Saliency methods, one a file, all with one protocol."""

from opticam.saliency.base import SaliencyMethod
from opticam.saliency.fake_cam import FakeCAM
from opticam.saliency.grad_cam import GradCAM
from opticam.saliency.opti_cam import OptiCAM

METHODS: dict[str, type[SaliencyMethod]] = {"Fake-CAM": FakeCAM, "Grad-CAM": GradCAM, "Opti-CAM": OptiCAM}
"""The papers' names of the methods, in the order of their tables."""

__all__ = ["METHODS", "FakeCAM", "GradCAM", "OptiCAM", "SaliencyMethod"]
