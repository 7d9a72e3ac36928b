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

    def __init__(self, count: int = 7, corrupt: tuple[int, ...] = ()) -> None:
        self.names = [f"picture{index}" for index in range(count)]
        self.corrupt = corrupt

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        if index in self.corrupt:
            raise CorruptImageError(self.names[index], "truncated file")
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, 17, 19, generator=generator), index % 3


class TinyWorkspace(Workspace):
    """A workspace whose networks are tiny and random, so that a whole run takes a second."""

    @property
    def source(self) -> RandomPictures:
        return self.pictures

    def classifier(self, network: str) -> Classifier:
        torch.manual_seed(len(network))
        layers = [nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)]
        return Classifier(nn.Sequential(*layers), target_layer="1", mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.fixture
def make_workspace(tmp_path: Path):
    def make(
        count: int = 7, corrupt: tuple[int, ...] = (), networks: tuple[str, ...] = ("tiny",)
    ) -> Workspace:
        saliency = SaliencyProfile(
            source="folder",
            networks=dict.fromkeys(networks, "resnet50"),
            batch_size=3,
            iterations=4,
            comparable=False,
        )
        workspace = TinyWorkspace(Profile("test", "test", saliency), results=tmp_path, progress=False)
        workspace.pictures = RandomPictures(count, corrupt)
        return workspace

    return make
