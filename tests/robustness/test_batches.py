"""The map of a picture hangs neither on its batch, nor on its place there, nor on the number of threads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opticam import METHODS, Classifier
from opticam.saliency.base import SaliencyMethod

IMAGES = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.tensor([1, 0, 3, 2, 1])
STEPS = {"Opti-CAM": {"iterations": 10}, "Extremal Perturbation": {"iterations": 5}, "LIME": {"samples": 50}}
ALLOWED = 1e-5


class Convolutions(nn.Module):
    """Three convolutions; the methods' common case."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)
        self.last, self.fc = nn.Conv2d(8, 5, 3, 1, 1), nn.Linear(5, 4)

    def forward(self, images):
        hidden = self.second(self.first(images).relu()).relu()
        return self.fc(self.last(hidden).relu().mean((2, 3)))


def transformer() -> nn.Module:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    network = VisionTransformer(32, 8, 2, 2, 8, 12, num_classes=4)
    nn.init.normal_(network.heads.head.weight)
    return network


def method_for(name: str) -> SaliencyMethod | None:
    """The method on the first of two networks that it is defined for, in float64; None without its package."""
    for build in (Convolutions, transformer):
        classifier = Classifier(build().double().eval(), optimize="exact")
        if METHODS[name].applies_to(classifier):
            return METHODS[name](classifier, **STEPS.get(name, {}))
    return None


@pytest.mark.parametrize("name", METHODS)
def test_a_map_is_its_pictures_own(name, fault):
    method = method_for(name)
    if method is None:
        pytest.skip(f"{name} needs a package that is not installed here")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        together = method(IMAGES, TARGETS)
        others = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            order = torch.tensor([3, 0, 4, 2, 1])
            others[f"reordered, {threads} threads"] = method(IMAGES[order], TARGETS[order])[order.argsort()]
            alone = [method(IMAGES[i : i + 1], TARGETS[i : i + 1]) for i in range(5)]
            others[f"one by one, {threads} threads"] = torch.cat(alone)
            pairs = [method(IMAGES[i : i + 2], TARGETS[i : i + 2]) for i in range(0, 5, 2)]
            others[f"in pairs, {threads} threads"] = torch.cat(pairs)
    finally:
        torch.set_num_threads(before)
    for how, maps in others.items():
        torch.testing.assert_close(
            maps, together, rtol=0, atol=ALLOWED, msg=lambda text, how=how: f"{how}: {text}"
        )
    largest = max(float((maps - together).abs().max()) for maps in others.values())
    fault(
        "batches",
        f"{name}: alone, in pairs, reordered, on 1 and 2 threads",
        6,
        f"differs by {largest:.0e} at most",
    )
