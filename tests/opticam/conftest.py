"""Real ImageNet pictures and a real network; tests of them are skipped where OPTICAM_DATA names no such folder."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch

from opticam import Classifier
from opticam.data.imagenet import ImageNetSet


@pytest.fixture(scope="session")
def real_data():
    folder = Path(os.environ.get("OPTICAM_DATA", "no-such-folder"))
    if not (folder / "imagenet_val").is_dir():
        pytest.skip("OPTICAM_DATA names no folder with imagenet_val")
    return folder


@pytest.fixture(scope="session")
def squeezenet(real_data):
    """From how much faster the network may be made, `optimize`, to its classifier."""
    statistics = {"mean": [value / 255 for value in (123, 117, 104)], "std": [1 / 255] * 3}
    weights = real_data / "weights" / "squeezenet1_1.pth"
    return partial(Classifier.from_name, "squeezenet1_1", weights, **statistics)


@pytest.fixture(scope="session")
def pictures(real_data):
    """64 pictures and their labels."""
    folder = real_data / "imagenet_val"
    data = ImageNetSet(folder / "images", folder / "labels.csv", transform="squash224", limit=64)
    images, labels = zip(*(data[index] for index in range(64)))
    return torch.stack(images), torch.tensor(labels)
