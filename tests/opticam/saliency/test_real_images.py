"""Every method on real pictures: which keep the class, and what the faster levels change."""

import pytest
import torch

from opticam import METHODS, ExtremalPerturbation, OptiCAM, applicable_methods
from opticam.metrics import faithfulness, target_probability
from opticam.saliency.methods.perturbation import PerturbedImages

COSTLY = ("Score-CAM", "LIME", "Extremal Perturbation", "Ablation-CAM")


def test_opti_cam_has_the_lowest_drop_of_the_quick_methods(squeezenet, pictures):
    images, labels = (tensor[:8] for tensor in pictures)
    classifier, exact = squeezenet(), squeezenet(optimize="exact")
    options = {"Opti-CAM": {"iterations": 25}}
    maps = {
        name: METHODS[name](classifier, **options.get(name, {}))(images, labels)
        for name in applicable_methods(classifier)
        if name not in (*COSTLY, "Fake-CAM")
    }
    drops = {name: faithfulness(exact, images, made, labels)["AD"].mean() for name, made in maps.items()}
    assert min(drops, key=drops.get) == "Opti-CAM"
    assert len(drops) == 8


@pytest.mark.parametrize("level", ["fast", "half"])
def test_opti_cam_reaches_the_exact_objective_at_every_level(squeezenet, pictures, level):
    images, labels = (tensor[:4] for tensor in pictures)
    exact = squeezenet(optimize="exact")
    scores = [
        target_probability(
            exact,
            images * OptiCAM(squeezenet(optimize=which), iterations=15)(images, labels)[:, None],
            labels,
        )
        for which in ("exact", level)
    ]
    assert (scores[0] - scores[1]).abs().mean() < 0.03


def test_extremal_perturbation_beats_its_mask_at_other_places(squeezenet, pictures):
    images, labels = pictures[0][:3], pictures[1][:3]
    classifier = squeezenet()
    maps = ExtremalPerturbation(classifier, iterations=60, areas=(0.3,))(images, labels)
    perturbed = PerturbedImages(images, "blur", classifier.mean)
    found = target_probability(classifier, perturbed(maps).clamp(0, 1), labels)
    moved = [maps.roll(shift, (1, 2)) for shift in ((112, 112), (0, 112), (112, 0))]
    others = [target_probability(classifier, perturbed(mask).clamp(0, 1), labels) for mask in moved]
    assert (found >= torch.stack(others).mean(0)).float().mean() > 0.6
