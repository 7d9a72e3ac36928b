"""A DP-Net model as an image classifier, and its participation maps as a saliency method."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dpnet.data.geometry import size_of, to_pixels
from dpnet.explain.explanation import MAP_KINDS, score_map
from dpnet.model.part_layer import PartClassifier, PartOutput
from opticam.classifier import Classifier
from opticam.hooks import only_output
from opticam.layers import layer_name
from opticam.masking import normalize_map
from opticam.saliency import SaliencyMethod
from opticam.saliency.targets import Score
from opticam.vit.tokens import prefix_tokens, tokens_to_map


class PartNetwork(nn.Module):
    """Backbone and part layer as one network: normalised images [B,3,H,W] -> logits [B,C].

    Give it to `opticam.Classifier` (see `as_classifier`) and every saliency method and metric of `opticam`
    runs on DP-Net. ``model`` may be a `PartClassifier` or a `GlobalClassifier`.
    """

    def __init__(self, backbone: Classifier, model: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone.network
        self.layer = layer_name(backbone.network, backbone.target_layer)
        self.reshape = backbone.reshape
        self.model = model
        # What `opticam.vit.tokens` asks of a transformer.
        self.num_prefix_tokens = prefix_tokens(backbone.network)
        self.patch_size = getattr(backbone.network, "patch_size", None)

    def feature_maps(self, pixels: Tensor) -> Tensor:
        """Feature maps [B,d,h,w] of the target layer; differentiable, also through another hook on it."""
        outputs: list[Tensor] = []
        # Registered for this pass only, so it runs behind the hooks that others have put on the layer.
        layer = self.backbone.get_submodule(self.layer)
        handle = layer.register_forward_hook(lambda module, inputs, output: outputs.append(output.clone()))
        try:
            self.backbone(pixels)
        finally:
            handle.remove()
        output = only_output(outputs)
        if self.reshape is not None:
            return self.reshape(output)
        return output if output.dim() == 4 else tokens_to_map(output, self, size_of(pixels))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits [B,C] of normalised images."""
        output = self.model(self.feature_maps(pixels))
        return output.logits if isinstance(output, PartOutput) else output


def as_classifier(backbone: Classifier, model: nn.Module) -> Classifier:
    """The whole of DP-Net as a frozen classifier of images in [0,1], with the backbone's target layer."""
    network = PartNetwork(backbone, model)
    statistics: dict[str, Any] = {
        "mean": backbone.mean.flatten().tolist(),
        "std": backbone.std.flatten().tolist(),
    }
    return Classifier(network, f"backbone.{network.layer}", reshape=backbone.reshape, **statistics)


class ParticipationMap(SaliencyMethod):
    """The participation of the parts as a saliency method: (images, targets) -> maps [B,H,W] in [0,1].

    Positive participation only, upsampled and divided by its range image by image; a constant map gives
    zeros. ``classifier`` comes from `as_classifier` with a `PartClassifier`, ``kind`` is as in
    `dpnet.explain.explanation.participation_map`. Raises TypeError for another classifier.
    """

    def __init__(self, classifier: Classifier, kind: str = "exact") -> None:
        super().__init__(classifier)
        model = getattr(classifier.network, "model", None)
        if not isinstance(classifier.network, PartNetwork) or not isinstance(model, PartClassifier):
            raise TypeError("classifier: participation maps need a PartClassifier, see dpnet.as_classifier")
        if kind not in MAP_KINDS:
            raise ValueError(f"kind is {kind!r}; accepted: {', '.join(MAP_KINDS)}")
        self.model, self.kind = model, kind

    def compute(self, images: Tensor, score: Score) -> Tensor:
        """Maps [B,H,W] of a score of the logits; its gradient says what each logit counts."""
        features, logits = self.classifier.features_and_logits(images)
        with torch.enable_grad():
            logits = logits.detach().requires_grad_()
            (class_weights,) = torch.autograd.grad(score(logits).sum(), [logits])
        with torch.no_grad():
            part_weights = class_weights @ self.model.classifier.weight
            maps = score_map(self.model, features, part_weights, self.kind).clamp(min=0)
            return normalize_map(to_pixels(maps, size_of(images), self.model.grid).clamp(min=0))
