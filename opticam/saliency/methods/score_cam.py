"""Score-CAM: channels weighted by the score of the image that each of them masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from opticam.batches import check_max_batch, default_batch
from opticam.classifier import Classifier
from opticam.masking import channel_masks, normalize_map
from opticam.saliency.base import map_dtype
from opticam.saliency.methods.weighted_features import WeightedFeatures, weighted_map
from opticam.saliency.targets import Score, Targets, score_variants


@dataclass(frozen=True)
class ChannelLogits:
    """What the passes of Score-CAM tell of every class.

    features [B,K,h,w]: A. logits [B,K,C]: of the images, each masked by each channel.
    """

    features: torch.Tensor
    logits: torch.Tensor

    def part(self, rows: Sequence[int] | slice) -> ChannelLogits:
        """Those of some of the images."""
        return ChannelLogits(self.features[rows], self.logits[rows])


class ScoreCAM(WeightedFeatures):
    """w = softmax_k( y_c(x * n(up A^k)) ), one forward pass per channel (Wang et al., 2020).

    The softmax runs over the logits of the class, as in the grad-cam package, whose figures the Opti-CAM
    paper reports; the first authors' code sums probabilities instead. A constant channel masks everything.

    align_corners: upsample the channels as `UpsamplingBilinear2d` does, which the grad-cam package uses here; without
        it they are upsampled as every final map is.
    max_batch: most masked images in one forward pass, over all images of the batch; it bounds the memory. None
        takes `opticam.batches.default_batch`.
    """

    def __init__(
        self, classifier: Classifier, *, align_corners: bool = False, max_batch: int | None = None
    ) -> None:
        super().__init__(classifier)
        self.align_corners = align_corners
        self.max_batch = check_max_batch(max_batch)

    @torch.no_grad()
    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1] from K forward passes per image."""
        features = self.classifier.features(images)
        scores = [score_variants(score, logits) for logits in self._logits(features, images)]
        return features, _weights(torch.cat(scores, 1))

    def channel_logits(self, images: torch.Tensor) -> ChannelLogits:
        """All passes of images [B,3,H,W] in [0,1], from which `maps_of` makes the maps of any class."""
        with self.explaining(images, 0) as (prepared, _), torch.no_grad():
            features = self.classifier.features(prepared)
            return ChannelLogits(features, torch.cat(list(self._logits(features, prepared)), 1))

    def maps_of(self, seen: ChannelLogits, images: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The maps [B,H,W] that calling the method with the same images and targets makes, without its passes.

        Raises ValueError where these are of another number of images.
        """
        if len(seen.logits) != len(images):
            raise ValueError(f"seen: is of {len(seen.logits)} images, expected {len(images)}")
        with self.explaining(images, targets) as (_, score), torch.no_grad():
            weights = _weights(score_variants(score, seen.logits))
            maps = weighted_map(seen.features, weights, tuple(images.shape[-2:]))
            return maps.to(map_dtype(images))

    def _logits(self, features: torch.Tensor, images: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits [B,k,C] of each image under the masks of the next k channels."""
        limit = self.max_batch or default_batch(images)
        together = max(1, limit // max(1, len(images)))
        for channels in torch.arange(features.shape[1]).split(together):
            yield self._masked_logits(features, images, channels, limit)

    def _masked_logits(
        self, features: torch.Tensor, images: torch.Tensor, channels: torch.Tensor, limit: int
    ) -> torch.Tensor:
        """Logits [B,k,C] of each image under the masks of k channels."""
        masks = _aligned_masks if self.align_corners else channel_masks
        parts = zip(features.split(limit), images.split(limit))
        masked = (masks(*part, channels).flatten(0, 1) for part in parts)
        logits = torch.cat([self.classifier(batch) for batch in masked])
        by_image: torch.Tensor = logits.unflatten(0, (len(images), len(channels)))
        return by_image


def _weights(scores: torch.Tensor) -> torch.Tensor:
    """Weights [B,K,1,1] of the channels from the class's scores [B,K] under their masks."""
    return scores.softmax(1)[:, :, None, None]


def _aligned_masks(features: torch.Tensor, images: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
    """`channel_masks` with aligned corners: images [B,C,H,W] under the maps of k channels, [B,k,C,H,W]."""
    size = images.shape[-2:]
    up = interpolate(features[:, channels], size=size, mode="bilinear", align_corners=True)
    masks = normalize_map(up.flatten(0, 1)).unflatten(0, up.shape[:2]).to(images.dtype)
    masked: torch.Tensor = images[:, None] * masks[:, :, None]
    return masked
