"""GradientSHAP: gradients averaged between a black image and the noisy image, through Captum."""

from __future__ import annotations

from functools import partial

import torch

from opticam.batches import check_max_batch
from opticam.classifier import Classifier
from opticam.masking import normalize_map
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.methods.captum_support import (
    captum_attr,
    captum_is_installed,
    score_variants_of,
    seeded,
)
from opticam.saliency.targets import Score


class GradientSHAP(SaliencyMethod):
    """Expected gradient times (pixel - black) at random points in between (Lundberg and Lee, 2017), by Captum.

    The map is the attribution added over colours, clipped at zero and range-normalised. The Opti-CAM paper
    states no parameters. Every image draws the same random numbers, so its map ignores its batch mates.

    samples: points per image. noise: standard deviation of the noise added to the pixels. seed: of the random
    numbers. max_batch: most images in one pass. Raises ImportError without Captum.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        samples: int = 20,
        noise: float = 0.09,
        seed: int = 0,
        max_batch: int = 32,
    ) -> None:
        super().__init__(classifier)
        captum_attr("GradientSHAP")
        if samples < 1 or noise < 0:
            raise ValueError(f"samples, noise: must be at least 1 and 0, got {samples} and {noise}")
        self.samples, self.noise, self.seed = samples, noise, seed
        self.max_batch = check_max_batch(max_batch)

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether Captum is installed; any network will do."""
        return captum_is_installed()

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W], one image after the other."""
        attributions = torch.cat([self._attribute(images, index, score) for index in range(len(images))])
        return normalize_map(attributions.sum(1).relu())

    @torch.enable_grad()
    def _attribute(self, images: torch.Tensor, index: int, score: Score) -> torch.Tensor:
        """Attribution [1,3,H,W] of one image."""
        forward = partial(self._scores, index=index, batch=len(images), score=score)
        shap = captum_attr("GradientSHAP").GradientShap(forward)
        image, total = images[index : index + 1], torch.zeros_like(images[:1])
        with seeded(self.seed):
            for first in range(0, self.samples, self.max_batch):
                count = min(self.max_batch, self.samples - first)
                black = torch.zeros_like(image)
                total += count * shap.attribute(image, black, n_samples=count, stdevs=self.noise).detach()
        return total / self.samples

    def _scores(self, pixels: torch.Tensor, index: int, batch: int, score: Score) -> torch.Tensor:
        return score_variants_of(score, self.classifier(pixels), index, batch)
