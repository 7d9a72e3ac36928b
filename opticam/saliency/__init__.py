"""Saliency methods, one per file, all with one protocol."""

from opticam.classifier import Classifier
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.methods.ablation_cam import AblationCAM
from opticam.saliency.methods.attention_rollout import AttentionRollout
from opticam.saliency.methods.cam import CAM
from opticam.saliency.methods.extremal_perturbation import ExtremalPerturbation
from opticam.saliency.methods.fake_cam import FakeCAM
from opticam.saliency.methods.grad_cam import GradCAM
from opticam.saliency.methods.grad_cam_plus_plus import GradCAMPlusPlus
from opticam.saliency.methods.gradient_shap import GradientSHAP
from opticam.saliency.methods.hires_cam import HiResCAM
from opticam.saliency.methods.layer_cam import LayerCAM
from opticam.saliency.methods.lime import LIME
from opticam.saliency.methods.opti_cam import OptiCAM
from opticam.saliency.methods.raw_attention import RawAttention
from opticam.saliency.methods.score_cam import ScoreCAM
from opticam.saliency.methods.transformer_attribution import TransformerAttribution
from opticam.saliency.methods.xgrad_cam import XGradCAM

METHODS: dict[str, type[SaliencyMethod]] = {
    "Fake-CAM": FakeCAM,
    "CAM": CAM,
    "Grad-CAM": GradCAM,
    "Grad-CAM++": GradCAMPlusPlus,
    "Score-CAM": ScoreCAM,
    "Ablation-CAM": AblationCAM,
    "XGrad-CAM": XGradCAM,
    "Layer-CAM": LayerCAM,
    "Extremal Perturbation": ExtremalPerturbation,
    "Raw attention": RawAttention,
    "Rollout": AttentionRollout,
    "TIBAV": TransformerAttribution,
    "HiRes-CAM": HiResCAM,
    "LIME": LIME,
    "GradientSHAP": GradientSHAP,
    "Opti-CAM": OptiCAM,
}
"""The papers' names of the methods, in the order of their tables."""


def applicable_methods(classifier: Classifier) -> list[str]:
    """Names of the methods that are defined for this classifier's network and can run here."""
    return [name for name, method in METHODS.items() if method.applies_to(classifier)]


__all__ = [
    "CAM",
    "LIME",
    "METHODS",
    "AblationCAM",
    "AttentionRollout",
    "ExtremalPerturbation",
    "FakeCAM",
    "GradCAM",
    "GradCAMPlusPlus",
    "GradientSHAP",
    "HiResCAM",
    "LayerCAM",
    "OptiCAM",
    "RawAttention",
    "SaliencyMethod",
    "ScoreCAM",
    "TransformerAttribution",
    "XGradCAM",
    "applicable_methods",
]
