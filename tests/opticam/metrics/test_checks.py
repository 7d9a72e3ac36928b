"""What metrics refuse of images, maps and targets before any work starts."""

import pytest
import torch

from opticam import metrics

IMAGES, MAPS, TARGETS = torch.rand(3, 3, 15, 16), torch.rand(3, 15, 16), torch.tensor([0, 1, 2])
CURVES = [metrics.insertion, metrics.deletion]
OF_ONE_CLASS = [metrics.faithfulness, metrics.aopc, metrics.saliency_metric, *CURVES]


def classifier(pixels):
    return pixels.mean((2, 3))


@pytest.mark.parametrize("measure", OF_ONE_CLASS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({0: (255 * IMAGES).byte()}, TypeError, "images must be a float tensor"),
        ({1: MAPS[:, :, :9]}, ValueError, "maps must have the batch and size of images"),
        ({2: TARGETS > 0}, TypeError, "targets must be an integer tensor"),
        ({2: TARGETS[[0, 1, 2, 0]]}, ValueError, r"targets must have shape \[3\]"),
    ],
    ids=["whole images", "maps of another size", "flags for targets", "targets of other images"],
)
def test_what_does_not_belong_to_the_images_is_named(measure, change, error, message):
    given = dict(enumerate((IMAGES, MAPS, TARGETS))) | change
    with pytest.raises(error, match=f"^{message}"):
        measure(classifier, *given.values())


@pytest.mark.parametrize("measure", OF_ONE_CLASS)
@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_one_number_that_is_not_finite_is_refused(measure, value):
    maps = MAPS.clone()
    maps[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"^maps must be finite"):
        measure(classifier, IMAGES, maps, TARGETS)


def test_maps_without_a_pixel_are_refused():
    with pytest.raises(ValueError, match=r"^maps must have at least one pixel"):
        metrics.localization(torch.rand(3, 0, 10), [torch.tensor([[1, 2, 8, 9]])] * 3, TARGETS > 0)
