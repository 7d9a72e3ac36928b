"""CAM: channels weighted by the last layer's weights of the class."""

from __future__ import annotations

import torch
from torch import nn

from opticam.classifier import Classifier
from opticam.saliency.methods.weighted_features import WeightedFeatures
from opticam.saliency.targets import Score

PROBE_SIZE = 96
AGREEMENT = 0.05
"""Largest difference, relative to the largest logit, between the logits and those that CAM's reading of the
network gives; wide enough for bfloat16, far below what a layer in between would cause."""


class CAM(WeightedFeatures):
    """n(up(relu(sum_k w_ck A^k))) with w the weights of the last layer (Zhou et al., 2016).

    For networks whose logits are a linear layer on the target layer's global average (ResNet, MobileNet), or
    the global average of a 1x1 convolution of it (SqueezeNet). ValueError for any other.
    """

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether the logits of a probe image are as CAM needs them."""
        if last_layer(classifier.network) is None:
            return False
        ramp = torch.linspace(0, 1, PROBE_SIZE).to(classifier.mean)
        probe = ramp.expand(1, classifier.mean.shape[1], PROBE_SIZE, -1)
        try:
            cls(classifier.exact()).weigh(probe, lambda logits: logits[:, 0])
        except (ValueError, RuntimeError):
            return False
        return True

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1]: dy/dlogits times the last layer's weights, which is one row of them for y = y_c."""
        features, logits = self.classifier.features_and_logits(images)
        weight = _weight_of(self.classifier.network, features, logits)
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(leaf).sum(), leaf)
        return features, (gradient.to(weight.dtype) @ weight)[:, :, None, None].to(features.dtype)


def last_layer(network: nn.Module) -> nn.Linear | nn.Conv2d | None:
    """The only linear layer; where there is none, the last convolution if it is 1x1; otherwise None."""
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if linear:
        return linear[0] if len(linear) == 1 else None
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    fits = convolutions and convolutions[-1].kernel_size == (1, 1) and convolutions[-1].groups == 1
    return convolutions[-1] if fits else None


def _weight_of(network: nn.Module, features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """The last layer's weights [C,K]; ValueError unless they lead from the features to the logits."""
    layer = last_layer(network)
    if layer is not None and layer.weight.flatten(1).shape == (logits.shape[1], features.shape[1]):
        weight = layer.weight.detach().flatten(1)
        maps = torch.einsum("ck,bkhw->bchw", weight, features.to(weight.dtype))
        if layer.bias is not None:
            maps = maps + layer.bias.detach()[:, None, None]
        readings = (maps.mean((2, 3)), maps.relu().mean((2, 3)))
        if any(_agree(reading, logits) for reading in readings):
            return weight
    raise ValueError(
        f"classifier: CAM needs logits that are one layer on the target layer's global average; "
        f"this {type(network).__name__} is otherwise"
    )


def _agree(found: torch.Tensor, logits: torch.Tensor) -> bool:
    return bool((found - logits).abs().max() <= AGREEMENT * logits.abs().max())
