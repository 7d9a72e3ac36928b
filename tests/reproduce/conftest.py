from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from opticam import Classifier
from opticam.data.imagenet import CorruptImageError
from reproduce.workspace.profile import PartsProfile, Profile, SaliencyProfile
from reproduce.workspace.workspace import Workspace


class RandomPictures:
    """A source of seven small pictures; those listed in `corrupt` cannot be read, `boxless` have no boxes."""

    class_names = None
    has_boxes = has_labels = True
    fingerprint = "random"
    boxes_fingerprint = ""

    def __init__(
        self,
        count: int = 7,
        corrupt: tuple[int, ...] = (),
        boxless: tuple[int, ...] = (),
        labels=None,
        size=(17, 19),
    ) -> None:
        self.names = [f"picture{index}" for index in range(count)]
        self.corrupt = corrupt
        self.boxless = boxless
        self.labels = labels or {}
        self.size = size

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        if index in self.corrupt:
            raise CorruptImageError(self.names[index], "truncated file")
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, *self.size, generator=generator), self.labels.get(index, index % 3)

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        if index in self.boxless:
            return torch.empty(0, 4)
        return torch.tensor([[2.0, 3.0, 9.0 + index, 12.0], [0.0, 0.0, 4.0, 5.0]])[: 1 + index % 2]


class TinyNetwork(nn.Sequential):
    """Three convolutions called `features` and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2),
            nn.ReLU(),
            nn.Conv2d(6, 5, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(5, 6, 1),
            nn.ReLU(),
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.hidden = nn.Sequential(nn.Linear(6, 7), nn.ReLU())
        self.head = nn.Linear(7, 3)


class TinyWorkspace(Workspace):
    """A workspace whose networks are tiny and random, so that a whole run takes a second."""

    @property
    def source(self) -> RandomPictures:
        return self.pictures

    def classifier(self, network: str, normalised: bool = True) -> Classifier:
        torch.manual_seed(len(network))
        pixels = (
            {"mean": (0.5,) * 3, "std": (0.2,) * 3} if normalised else {"mean": (0,) * 3, "std": (1,) * 3}
        )
        return Classifier(TinyNetwork(), target_layer="features.5", **pixels)


def tiny_workspace(
    results: Path, count: int = 7, networks: tuple[str, ...] = ("tiny",), **faults: object
) -> Workspace:
    """A workspace on `count` pictures with some faults; all networks stand beside resnet50."""
    saliency = SaliencyProfile(
        source="folder",
        networks=dict.fromkeys(networks, "resnet50"),
        batch_size=3,
        iterations=4,
        comparable=False,
        options={"Extremal Perturbation": {"iterations": 2, "step": 5}, "LIME": {"samples": 5}},
    )
    workspace = TinyWorkspace(Profile("test", "test", saliency), results=results, progress=False)
    workspace.pictures = RandomPictures(count, **faults)
    return workspace


PARTS = PartsProfile(
    source="sample",
    datasets={"fine": "Birds"},
    backbones={"tiny": "resnet50"},
    constraint_datasets=("fine",),
    constraint_backbone="tiny",
    seeds=2,
    parts_per_class=2,
    epochs=9,
    batch_size=8,
    train_images=12,
    folds=3,
    constraint_tolerance=1.5,
    comparable=False,
    layers={"tiny": ("features.3", "features.5")},
)


def tiny_parts_workspace(results: Path, limit: int | None = None, **changes: object) -> Workspace:
    """A workspace for DP-Net on a tiny network; `changes` are those of the profile."""
    workspace = tiny_workspace(results)
    workspace.profile = Profile("test", "test", parts=replace(PARTS, **changes), limit=limit)
    return workspace


@pytest.fixture
def make_workspace(tmp_path: Path):
    return partial(tiny_workspace, tmp_path)


@pytest.fixture
def make_parts_workspace(tmp_path: Path):
    """Every call opens the same results folder anew, as the next process would."""
    return partial(tiny_parts_workspace, tmp_path)


@pytest.fixture(scope="session")
def make_module_workspace():
    return tiny_workspace
