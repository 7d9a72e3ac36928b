"""Which metrics take only maps in [0,1]: those that weigh pixels by them, not those that order pixels."""

import pytest
import torch

from opticam import metrics

BATCH, SIDE = 2, 28
IMAGES = torch.rand(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
BOXES = [torch.tensor([[3, 4, 20, 19]])] * BATCH
TARGETS = torch.tensor([0, 1])


def classifier(pixels):
    return pixels.mean((2, 3))


def method(pixels, targets):
    return pixels.mean(1)


WEIGHING = {
    "faithfulness": lambda maps: metrics.faithfulness(classifier, IMAGES, maps, TARGETS)["AD"],
    "box study": lambda maps: metrics.box_study(classifier, IMAGES, maps, TARGETS, BOXES)["S"]["AD"],
    "AOPC": lambda maps: metrics.aopc(classifier, IMAGES, maps, TARGETS, patch=7, regions=2),
    "MS": lambda maps: metrics.max_sensitivity(method, IMAGES, maps, TARGETS, samples=1),
    "ADCC": lambda maps: metrics.adcc(classifier, method, IMAGES, maps, TARGETS)["ADCC"],
    "localization": lambda maps: metrics.localization(maps, BOXES, TARGETS.bool())["F1"],
}
ORDERING = {
    "insertion": lambda maps: metrics.insertion(classifier, IMAGES, maps, TARGETS, steps=4).auc,
    "deletion": lambda maps: metrics.deletion(classifier, IMAGES, maps, TARGETS, steps=4).auc,
    "SM": lambda maps: metrics.saliency_metric(classifier, IMAGES, maps, TARGETS),
    "BA": lambda maps: metrics.box_overlaps(maps, BOXES),
}


def maps(low, high, dtype=torch.float32):
    ramp = torch.linspace(0, 1, BATCH * SIDE * SIDE, dtype=torch.float64)
    return (low + (high - low) * ramp).reshape(BATCH, SIDE, SIDE).to(dtype)


@pytest.mark.parametrize("measure", WEIGHING.values(), ids=WEIGHING)
@pytest.mark.parametrize(("low", "high"), [(-0.5, 1), (0, 255), (-0.01, 0.5), (0, 1.01)])
def test_maps_outside_the_unit_interval_are_refused(measure, low, high):
    with pytest.raises(ValueError, match=rf"^maps must be in \[0, 1\], got values from {low:g} to {high:g}"):
        measure(maps(low, high))


@pytest.mark.parametrize("measure", WEIGHING.values(), ids=WEIGHING)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_that_leave_it_by_rounding_are_not(measure, dtype):
    eps = torch.finfo(dtype).eps
    assert measure(maps(-4 * eps, 1 + 4 * eps, dtype)).isfinite().all()


@pytest.mark.parametrize("measure", ORDERING.values(), ids=ORDERING)
def test_an_order_of_pixels_may_be_of_any_numbers(measure):
    # Times a power of two: the order, and what lies above the mean, stay as they are.
    signed = maps(-0.5, 1)
    torch.testing.assert_close(measure(256 * signed), measure(signed))
