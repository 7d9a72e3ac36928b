"""Ablation-CAM: channels weighted by what the score loses without them."""

from __future__ import annotations

from functools import partial

import torch

from opticam.batches import check_max_batch
from opticam.classifier import Classifier
from opticam.saliency.methods.weighted_features import WeightedFeatures
from opticam.saliency.targets import Score, score_variants
from opticam.vit.blocks import is_transformer


class AblationCAM(WeightedFeatures):
    """w_k = (y_c - y_c without A^k) / y_c, A^k set to zero (Desai and Ramaswamy, 2020).

    Only the layers behind the target layer run once a channel: the layers in front run once for `max_batch`
    channels, whose variants are made at the target layer. Networks whose later layers join the target layer's
    output with others of the image's batch size run as a whole for each channel. Not defined for tokens: the
    paper has no Ablation-CAM of a transformer.

    max_batch: most variants in one pass; it bounds the memory.
    """

    def __init__(self, classifier: Classifier, *, max_batch: int = 128) -> None:
        super().__init__(classifier)
        self.max_batch = check_max_batch(max_batch)

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether the network has feature maps rather than tokens."""
        return not is_transformer(classifier.network)

    @torch.no_grad()
    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1] from K passes through the layers behind the target layer."""
        features, logits = self.classifier.features_and_logits(images)
        branches = self._branches(images[:1])
        ablated = []
        for channels in torch.arange(features.shape[1], device=images.device).split(self.max_batch):
            variants = [self._ablated(image[None], channels, branches) for image in images]
            ablated.append(score_variants(score, torch.stack(variants)))
        full = score(logits)[:, None]
        drop = full - torch.cat(ablated, 1)
        return features, torch.where(full == 0, 0, drop / full)[:, :, None, None]

    def _branches(self, image: torch.Tensor) -> bool:
        """Whether variants made at the target layer give the logits of variants made at the input."""
        channels = torch.zeros(2, dtype=torch.long, device=image.device)
        expected = self._ablated(image, channels, branches=False)
        try:
            found = self._ablated(image, channels, branches=True)
        except (RuntimeError, ValueError):
            return False
        tolerance = 1e-3 * float(expected.abs().max())
        return found.shape == expected.shape and bool((found - expected).abs().max() <= tolerance)

    def _ablated(self, image: torch.Tensor, channels: torch.Tensor, branches: bool) -> torch.Tensor:
        """Logits [k,C] of one image [1,3,H,W] without each of k channels."""
        inputs = image if branches else image.expand(len(channels), -1, -1, -1)
        return self.classifier.logits_with(inputs, partial(_without, channels=channels))


def _without(output: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
    """Variants [k,K,h,w] of feature maps [1,K,h,w] or [k,K,h,w], each with one channel at zero."""
    if output.dim() != 4:
        raise TypeError(f"target_layer: Ablation-CAM needs maps [B,K,h,w], got shape {tuple(output.shape)}")
    variants = output.expand(len(channels), -1, -1, -1).clone()
    variants[torch.arange(len(channels), device=output.device), channels] = 0
    return variants
