"""Explain a classifier with a saliency map and judge the explanation (Opti-CAM, CVIU 2024)."""

from opticam.classifier import Classifier
from opticam.saliency import (
    CAM,
    METHODS,
    AblationCAM,
    AttentionRollout,
    FakeCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    OptiCAM,
    RawAttention,
    ScoreCAM,
    TransformerAttribution,
    XGradCAM,
    applicable_methods,
)

__all__ = [
    "CAM",
    "METHODS",
    "AblationCAM",
    "AttentionRollout",
    "Classifier",
    "FakeCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "LayerCAM",
    "OptiCAM",
    "RawAttention",
    "ScoreCAM",
    "TransformerAttribution",
    "XGradCAM",
    "applicable_methods",
]
