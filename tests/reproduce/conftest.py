from pathlib import Path

import pytest
import torch
from torch import nn

from opticam import Classifier
from opticam.data.imagenet import CorruptImageError
from reproduce.profile import Profile, SaliencyProfile
from reproduce.workspace import Workspace


class RandomPictures:
    """A source of seven small pictures; those listed in `corrupt` cannot be read."""

    class_names = None
    has_boxes = True

    def __init__(
        self, count: int = 7, corrupt: tuple[int, ...] = (), boxless: tuple[int, ...] = (), labels=None
    ) -> None:
        self.names = [f"picture{index}" for index in range(count)]
        self.corrupt = corrupt
        self.boxless = boxless
        self.labels = labels or {}

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        if index in self.corrupt:
            raise CorruptImageError(self.names[index], "truncated file")
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, 17, 19, generator=generator), self.labels.get(index, index % 3)

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        if index in self.boxless:
            return torch.empty(0, 4)
        return torch.tensor([[2.0, 3.0, 9.0 + index, 12.0], [0.0, 0.0, 4.0, 5.0]])[: 1 + index % 2]


class TinyWorkspace(Workspace):
    """A workspace whose networks are tiny and random, so that a whole run takes a second."""

    @property
    def source(self) -> RandomPictures:
        return self.pictures

    def classifier(self, network: str, normalised: bool = True) -> Classifier:
        torch.manual_seed(len(network))
        layers = [nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]
        pixels = (
            {"mean": (0.5,) * 3, "std": (0.2,) * 3} if normalised else {"mean": (0,) * 3, "std": (1,) * 3}
        )
        return Classifier(nn.Sequential(*layers), target_layer="1", **pixels)


@pytest.fixture
def make_workspace(tmp_path: Path):
    def make(count: int = 7, networks: tuple[str, ...] = ("tiny",), **faults: object) -> Workspace:
        saliency = SaliencyProfile(
            source="folder",
            networks=dict.fromkeys(networks, "resnet50"),
            batch_size=3,
            iterations=4,
            comparable=False,
        )
        workspace = TinyWorkspace(Profile("test", "test", saliency), results=tmp_path, progress=False)
        workspace.pictures = RandomPictures(count, **faults)
        return workspace

    return make
