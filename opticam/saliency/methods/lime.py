"""LIME: a linear model of what each superpixel adds to the class's probability, through Captum."""

from __future__ import annotations

from functools import partial

import torch

from opticam.batches import check_max_batch, default_batch
from opticam.classifier import Classifier
from opticam.masking import normalize_map
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.methods.captum_support import (
    captum_attr,
    captum_is_installed,
    score_variants_of,
    seeded,
)
from opticam.saliency.methods.weighted_ridge import WeightedRidge
from opticam.saliency.targets import Score

KERNEL_WIDTH = 0.25
QUICKSHIFT = {"kernel_size": 4, "max_dist": 200, "ratio": 0.2}


class LIME(SaliencyMethod):
    """Superpixels switched off at random, and a weighted ridge regression on the probability, by Captum.

    The probability is what `Classifier(probability=...)` says.
    Superpixels (quickshift), their replacement by their mean colour, the proximity kernel on the cosine
    distance of the switches, and the ridge penalty are those of the authors' code (Ribeiro, Singh and
    Guestrin, 2016). The map paints each superpixel with its coefficient, clipped at zero and
    range-normalised. Every image draws the same random numbers, so its map ignores its batch mates.

    samples: variants per image. seed: of the random numbers. max_batch: most variants in one pass; None
        takes `opticam.batches.default_batch`.
    Raises ImportError without Captum.
    """

    selector = "probability"

    def __init__(
        self, classifier: Classifier, *, samples: int = 1000, seed: int = 0, max_batch: int | None = None
    ) -> None:
        super().__init__(classifier)
        captum_attr("LIME")
        if samples < 2:
            raise ValueError(f"samples: must be 2 or more, got {samples}")
        self.samples, self.seed = samples, seed
        self.max_batch = check_max_batch(max_batch)

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether Captum is installed; any network will do."""
        return captum_is_installed()

    @torch.no_grad()
    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W], one image after the other."""
        maps = [self._explain(images, index, score) for index in range(len(images))]
        return normalize_map(torch.stack(maps).relu())

    def _explain(self, images: torch.Tensor, index: int, score: Score) -> torch.Tensor:
        """Each pixel's coefficient [H,W]."""
        image = images[index : index + 1]
        segments = superpixels(image[0])
        model = WeightedRidge()
        forward = partial(self._scores, index=index, batch=len(images), score=score)
        lime = captum_attr("LIME").Lime(forward, model, similarity_func=_proximity)
        with seeded(self.seed):
            lime.attribute(
                image,
                baselines=mean_colours(image, segments),
                feature_mask=segments[None, None],
                n_samples=self.samples,
                perturbations_per_eval=self.max_batch or default_batch(images),
                return_input_shape=False,
            )
        return model.representation()[segments].to(images.dtype)

    def _scores(self, pixels: torch.Tensor, index: int, batch: int, score: Score) -> torch.Tensor:
        return score_variants_of(score, self.classifier(pixels), index, batch)


def superpixels(image: torch.Tensor) -> torch.Tensor:
    """Segment numbers [H,W] from 0 of an image [3,H,W], or [1,H,W] of greys, in [0,1]; ValueError for others."""
    if len(image) not in (1, 3):
        raise ValueError(
            f"images: LIME cuts them by colour and needs 3 channels, or 1 of greys, got {len(image)}"
        )
    colours = image.expand(3, -1, -1) if len(image) == 1 else image
    pixels = colours.permute(1, 2, 0).double().cpu().numpy()
    from skimage.segmentation import quickshift  # loads SciPy, which other methods do not need

    return torch.from_numpy(quickshift(pixels, **QUICKSHIFT)).to(image.device)


def mean_colours(image: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """The image [1,3,H,W] with every segment in its mean colour."""
    flat, index = image.flatten(2), segments.flatten()
    counts = index.bincount()
    means = image.new_zeros(1, image.shape[1], len(counts)).index_add(2, index, flat) / counts
    return means[:, :, index].view_as(image)


def _proximity(
    image: torch.Tensor, variant: torch.Tensor, switches: torch.Tensor, **options: object
) -> torch.Tensor:
    """exp(-d^2 / (2 w^2)) of the cosine distance d between the switches and all on."""
    distance = 1 - switches.double().mean().sqrt()
    return torch.exp(-(distance**2) / (2 * KERNEL_WIDTH**2))
