"""Insertion and deletion of a batch by `opticam.metrics` and by a plain loop, and the forward passes alone."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from opticam.acceleration.prepared_network import LEVELS
from opticam.batches import default_batch
from opticam.classifier import Classifier
from opticam.metrics import deletion, insertion, rise_blur
from opticam.networks import build_network
from opticam.sample import SAMPLE_NETWORKS
from opticam.sample.architectures import build_sample_network


def fused(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> Tensor:
    """Areas [2, B] of insertion and deletion through `opticam.metrics`."""
    return torch.stack(
        [metric(classifier, images, maps, steps=maps.shape[1]).auc for metric in (insertion, deletion)]
    )


def plain(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> Tensor:
    """The same areas [2, B] by a plain loop over images and stages."""
    blurred, black = rise_blur(images), torch.zeros_like(images)
    areas = [
        [_plain_area(classifier, image, saliency_map, start, finish) for start, finish in ends]
        for image, saliency_map, ends in (
            (images[i], maps[i], ((blurred[i], images[i]), (images[i], black[i]))) for i in range(len(images))
        )
    ]
    return torch.tensor(areas).T


@torch.no_grad()
def _plain_area(
    classifier: Callable[[Tensor], Tensor], image: Tensor, saliency_map: Tensor, start: Tensor, finish: Tensor
) -> float:
    target = classifier(image[None])[0].argmax()
    order = np.flip(np.argsort(saliency_map.cpu().numpy().ravel(), kind="stable"))
    steps, portion = saliency_map.shape
    pixels, goal = start.cpu().numpy().reshape(3, -1).copy(), finish.cpu().numpy().reshape(3, -1)
    scores = []
    for stage in range(steps + 1):
        current = torch.from_numpy(pixels).view(1, *image.shape).to(image.device)
        scores.append(classifier(current).softmax(1)[0, target].item())
        chosen = order[stage * portion : (stage + 1) * portion]
        pixels[:, chosen] = goal[:, chosen]
    return 100 * (sum(scores) - scores[0] / 2 - scores[-1] / 2) / steps


@torch.no_grad()
def forward_passes(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> None:
    """As many passes as insertion and deletion make, in the batches that they make."""
    batch = images.repeat(-(-default_batch(images) // len(images)), 1, 1, 1)[: default_batch(images)]
    for part in torch.arange(2 * len(images) * (maps.shape[1] + 1)).split(len(batch)):
        classifier(batch[: len(part)])


def networks(name: str, device: str) -> dict[str, Classifier]:
    """The same randomly initialised network at the levels of `Classifier`."""
    torch.manual_seed(0)
    build = build_sample_network if name in SAMPLE_NETWORKS else lambda name: build_network(name, None)
    network = build(name).to(device)
    return {level: Classifier(copy.deepcopy(network), optimize=level).to(device) for level in LEVELS}
