"""The images in which each part responds most, found in one pass without storing the responses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dpnet.data.blocks import Features
from dpnet.model.evaluation import outputs
from dpnet.model.part_layer import PartClassifier


class Gallery(NamedTuple):
    """For every part its k best images, best first."""

    responses: Tensor  # b_p, float32 [P,k]
    images: Tensor  # index of the image, int64 [P,k]
    regions: Tensor  # r*_p in that image, int64 [P,k]


@torch.no_grad()
def top_images(model: PartClassifier, features: Features, k: int = 10) -> Gallery:
    """The k images of ``features`` [N,d,h,w] with the largest response b_p of each part p.

    Keeps [P,k] and merges one batch at a time on the model's device. Raises ValueError unless 1 <= k <= N.
    """
    if not 1 <= k <= len(features):
        raise ValueError(f"k is {k}; there are {len(features)} images")
    device = model.parts.device
    best = Gallery(
        torch.full((len(model.parts), 0), -torch.inf, device=device),
        torch.zeros(len(model.parts), 0, dtype=torch.int64, device=device),
        torch.zeros(len(model.parts), 0, dtype=torch.int64, device=device),
    )
    start = 0
    for output in outputs(model, features):
        responses = output.bag_of_parts.T.float()
        count = responses.shape[1]
        images = torch.arange(start, start + count, device=device).expand_as(responses)
        new = Gallery(responses, images, output.argmax_region.T.long())
        best = _merge(best, new, k)
        start += count
    return best


def _merge(best: Gallery, new: Gallery, k: int) -> Gallery:
    joined = Gallery(*(torch.cat(pair, dim=1) for pair in zip(best, new)))
    order = joined.responses.topk(min(k, joined.responses.shape[1]), dim=1).indices
    return Gallery(*(field.gather(1, order) for field in joined))
