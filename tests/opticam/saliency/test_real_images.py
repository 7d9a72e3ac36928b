"""Every method on real pictures: which keep the class, and what the faster levels change."""

import os
from pathlib import Path

import pytest
import torch

from opticam import METHODS, Classifier, ExtremalPerturbation, OptiCAM, applicable_methods
from opticam.data.imagenet import ImageNetSet
from opticam.metrics import faithfulness, target_probability
from opticam.saliency.methods.perturbation import PerturbedImages

DATA = Path(os.environ.get("OPTICAM_DATA", "no-such-folder"))
pytestmark = pytest.mark.skipif(
    not (DATA / "imagenet_val").is_dir(), reason="OPTICAM_DATA names no folder with imagenet_val"
)
COSTLY = ("Score-CAM", "LIME", "Extremal Perturbation", "Ablation-CAM")


def squeezenet(level="fast"):
    weights = DATA / "weights" / "squeezenet1_1.pth"
    statistics = {"mean": [value / 255 for value in (123, 117, 104)], "std": [1 / 255] * 3}
    return Classifier.from_name("squeezenet1_1", weights, optimize=level, **statistics)


@pytest.fixture(scope="module")
def pictures():
    folder = DATA / "imagenet_val"
    data = ImageNetSet(folder / "images", folder / "labels.csv", transform="squash224", limit=8)
    images, labels = zip(*(data[index] for index in range(8)))
    return torch.stack(images), torch.tensor(labels)


def mean_drop(maps, pictures):
    return float(faithfulness(squeezenet("exact"), pictures[0], maps, pictures[1])["AD"].mean())


def test_opti_cam_has_the_lowest_drop_of_the_quick_methods(pictures):
    classifier = squeezenet()
    options = {"Opti-CAM": {"iterations": 25}}
    drops = {
        name: mean_drop(METHODS[name](classifier, **options.get(name, {}))(*pictures), pictures)
        for name in applicable_methods(classifier)
        if name not in (*COSTLY, "Fake-CAM")
    }
    assert min(drops, key=drops.get) == "Opti-CAM"
    assert len(drops) == 8


@pytest.mark.parametrize("level", ["fast", "half"])
def test_opti_cam_reaches_the_exact_objective_at_every_level(pictures, level):
    images, labels = (tensor[:4] for tensor in pictures)
    exact = squeezenet("exact")
    scores = [
        target_probability(
            exact, images * OptiCAM(squeezenet(which), iterations=15)(images, labels)[:, None], labels
        )
        for which in ("exact", level)
    ]
    assert (scores[0] - scores[1]).abs().mean() < 0.03


def test_extremal_perturbation_beats_its_mask_at_other_places(pictures):
    images, labels = pictures[0][:3], pictures[1][:3]
    classifier = squeezenet()
    maps = ExtremalPerturbation(classifier, iterations=60, areas=(0.3,))(images, labels)
    perturbed = PerturbedImages(images, "blur", classifier.mean)
    found = target_probability(classifier, perturbed(maps).clamp(0, 1), labels)
    moved = [maps.roll(shift, (1, 2)) for shift in ((112, 112), (0, 112), (112, 0))]
    others = [target_probability(classifier, perturbed(mask).clamp(0, 1), labels) for mask in moved]
    assert (found >= torch.stack(others).mean(0)).float().mean() > 0.6
