import inspect
import math

import numpy as np
import pytest
import scipy.ndimage
import torch

from opticam import Classifier, ExtremalPerturbation
from opticam.saliency.methods.extremal_perturbation import area_distance
from opticam.saliency.methods.perturbation import LEVELS, MAX_BLUR, PerturbedImages, blur
from opticam.saliency.methods.smooth_masks import SmoothMasks

MEAN = torch.tensor([0.5, 0.4, 0.3], dtype=torch.float64).view(1, 3, 1, 1)
SMALL = {"step": 2, "sigma": 4.0}  # of 35 pixels, about what the defaults are of 224


def slow_smooth_maximum(cells, y, x, step, sigma, radius):
    """The smooth maximum at one point, over the cells within `radius` cells, in float64."""
    numerator = denominator = 0.0
    for row in range(int(y // step) - radius, int(y // step) + radius + 1):
        for column in range(int(x // step) - radius, int(x // step) + radius + 1):
            inside = 0 <= row < cells.shape[0] and 0 <= column < cells.shape[1]
            distance = np.hypot(y - row * step, x - column * step) / sigma
            value = np.exp(-2 * max(0, distance - 0.5) ** 2) * (float(cells[row, column]) if inside else 0)
            numerator += value * np.exp(20 * value)
            denominator += np.exp(20 * value)
    return numerator / denominator


@pytest.mark.parametrize(("step", "sigma"), [(1, 2.5), (4, 7.0), (5, 7.0)])
@pytest.mark.parametrize("size", [(28, 20), (15, 22)])
def test_smooth_masks_equal_the_formula(size, step, sigma):
    """Cells at every step-th pixel from 0 on, as in TorchRay; with a step of 1 at every pixel of the mask."""
    count = -(-step // 2)
    smooth = SmoothMasks(size, step, sigma, torch.zeros(1, dtype=torch.float64))
    parameters = torch.rand(2, *smooth.grid, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    cells = [-(-side // step) for side in size]
    rows, columns = ([(i + 0.5) * step / count - 0.5 for i in range(side * count)] for side in cells)
    expected = torch.tensor(
        [
            [
                [slow_smooth_maximum(grid, y, x, step, sigma, 1 + math.ceil(sigma / step)) for x in columns]
                for y in rows
            ]
            for grid in parameters
        ]
    )
    whole = [side * step for side in cells]
    expected = torch.nn.functional.interpolate(expected[:, None], whole, mode="bilinear")[:, 0]
    torch.testing.assert_close(smooth(parameters), expected[:, : size[0], : size[1]])


def test_smooth_masks_have_the_gradient_of_their_differences():
    smooth = SmoothMasks((15, 22), 4, 7.0, torch.zeros(1, dtype=torch.float64))
    parameters = torch.rand(2, *smooth.grid, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(smooth, parameters.requires_grad_())


def test_one_cell_lifts_a_disc_of_the_radius_to_one():
    smooth = SmoothMasks((63, 63), 3, 12.0, torch.zeros(1, dtype=torch.float64))
    parameters = torch.zeros(1, *smooth.grid, dtype=torch.float64)
    parameters[0, 10, 10] = 1
    mask = smooth(parameters)[0]
    distance = torch.hypot(
        *(torch.arange(63.0)[index] - 30 for index in ((slice(None), None), (None, slice(None))))
    )
    assert mask[distance < 4].min() > 0.99
    assert mask[distance > 25].max() < 0.01


def test_levels_are_scipys_blur_with_the_mean_colour_around(images):
    """Zeros around normalised pixels are the mean colour around raw ones; TorchRay's kernel reaches ceil(4 sigma)."""
    levels = PerturbedImages(images.double(), "blur", MEAN).levels
    for level, sigma in enumerate(20 * (1 - i / 7) for i in range(7)):
        expected = [
            scipy.ndimage.gaussian_filter(
                images[:, channel].double().numpy(),
                (0, sigma, sigma),
                mode="constant",
                cval=MEAN.flatten()[channel].item(),
                radius=(0, *[math.ceil(4 * sigma)] * 2),
            )
            for channel in range(3)
        ]
        np.testing.assert_allclose(levels[:, level], np.stack(expected, 1), rtol=0, atol=1e-12)
    assert torch.equal(levels[:, 7], images.double())


@pytest.mark.parametrize("perturbation", ["blur", "fade"])
def test_masks_blend_the_levels(images, perturbation):
    perturbed = PerturbedImages(images, perturbation, MEAN.float())
    ones = torch.ones(5, 35, 35)
    torch.testing.assert_close(perturbed(ones), images)
    mean = MEAN.float().expand_as(images)
    strongest = {"blur": mean + blur(images - mean, 1.0), "fade": mean}[perturbation]
    torch.testing.assert_close(perturbed(0 * ones), strongest)
    between = perturbed(ones * 2.25 / 7)
    torch.testing.assert_close(between, 0.75 * perturbed(ones * 2 / 7) + 0.25 * perturbed(ones * 3 / 7))
    if perturbation == "fade":
        torch.testing.assert_close(perturbed(0.4 * ones), 0.4 * images + 0.6 * mean)


@pytest.mark.parametrize("perturbation", ["blur", "fade"])
def test_blending_has_the_gradient_of_its_slope(images, perturbation):
    perturbed = PerturbedImages(images[:1, :, :4, :5].double(), perturbation, MEAN)
    masks = torch.rand(
        1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    assert torch.autograd.gradcheck(perturbed, masks)


@pytest.mark.parametrize("levels", [2, 10, 10**6])
def test_the_distance_is_that_of_the_sorted_mask_to_a_step(levels):
    """Ties, of which saturated masks are full, go to the last of them, as a stable sort has it."""
    generator = torch.Generator().manual_seed(levels)
    masks = torch.randint(levels, (6, 9, 11), generator=generator).double() / levels
    areas = (0.001, 0.3, 0.99)
    expected, slope = 0.0, torch.zeros_like(masks)
    for index, mask in enumerate(masks):
        order = np.argsort(mask.flatten().numpy(), kind="stable")
        step = np.arange(99) >= round(99 * (1 - areas[index % 3]))
        difference = mask.flatten()[order] - torch.from_numpy(step).double()
        expected += difference.square().mean()
        slope[index].view(-1)[order] = 2 * difference / 99
    found = area_distance(masks.requires_grad_(), areas)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, [masks])[0], slope)


class Planted(torch.nn.Module):
    """Class c is the amount of fine texture in cell c of a 3x3 grid."""

    def forward(self, images):
        texture = (images - torch.nn.functional.avg_pool2d(images, 3, 1, 1)).abs().mean(1, keepdim=True)
        return 50 * torch.nn.functional.adaptive_avg_pool2d(texture, 3).flatten(1)


def test_five_iterations_written_out_with_torchrays_numbers(classify, images, targets):
    """Ascent at rate 0.01, momentum 0.9, dampening 0.9, penalty 300 * 1.0035^t, mirrored at every even t.

    The library returns the mask that its last iteration has tried, to which that iteration's step is not made.
    """
    classifier, images = classify("gap", torch.float64), images.double()
    options = {"areas": (0.3,), "iterations": 5} | SMALL
    found = ExtremalPerturbation(classifier, **options).masks(
        images, lambda logits: logits[range(5), targets]
    )
    perturbed = PerturbedImages(images, "blur", classifier.mean)
    smooth = SmoothMasks((35, 35), SMALL["step"], SMALL["sigma"], images)
    cells, velocity = torch.ones(5, 18, 18, dtype=torch.float64), None
    for iteration in range(4):
        masks = smooth(cells.requires_grad_())
        seen = perturbed(masks).flip(3) if iteration in (0, 2) else perturbed(masks)
        reward = classifier(seen)[range(5), targets].sum()
        objective = reward - 300 * 1.0035**iteration * area_distance(masks, (0.3,))
        (gradient,) = torch.autograd.grad(objective, [cells])
        velocity = 0.9 * velocity + 0.1 * gradient if iteration else gradient
        cells = (cells.detach() + 0.01 * velocity).clamp(0, 1)
    assert (cells < 1).any()
    torch.testing.assert_close(found[:, 0], smooth(cells), rtol=0, atol=1e-9)


def test_defaults_are_torchrays():
    parameters = inspect.signature(ExtremalPerturbation).parameters
    expected = {
        "areas": (0.1,),
        "iterations": 800,
        "perturbation": "blur",
        "step": 7,
        "sigma": 21,
        "flip": True,
    }
    assert {name: parameters[name].default for name in expected} == expected
    assert (MAX_BLUR, LEVELS) == (20, 8)


def moved_at_random(masks, generator):
    """Masks of the same area and edges at random places."""
    shifts = torch.randint(0, 36, (len(masks), 2), generator=generator).tolist()
    return torch.stack([mask.roll(shift, (0, 1)) for mask, shift in zip(masks, shifts)])


def test_masks_find_what_is_planted_have_the_area_asked_for_and_beat_random_masks_of_it():
    generator = torch.Generator().manual_seed(0)
    images, cells = torch.rand(9, 3, 36, 36, generator=generator), torch.arange(9)

    def score(logits):
        return logits.gather(1, cells[:, None])[:, 0]

    classifier = Classifier(Planted(), "", mean=(0.5,) * 3, std=(1,) * 3)
    method = ExtremalPerturbation(classifier, areas=(0.12,), flip=False, **SMALL)
    masks = method.masks(images, score)[:, 0].detach()
    torch.testing.assert_close(masks.mean((1, 2)), torch.full((9,), 0.12), rtol=0, atol=0.02)
    inside = torch.nn.functional.adaptive_avg_pool2d(masks, 3).flatten(1)[cells, cells]
    assert (inside / 9 > 0.5 * masks.mean((1, 2))).all()
    perturbed = PerturbedImages(images, "blur", classifier.mean)
    random = score(classifier(perturbed(moved_at_random(masks, generator))))
    assert (score(classifier(perturbed(masks))) > random).float().mean() >= 0.9


@pytest.mark.parametrize("areas", [(0.2,), (0.1, 0.4)])
def test_a_map_does_not_depend_on_batch_mates(classify, images, targets, areas):
    method = ExtremalPerturbation(classify("gap", torch.float64), areas=areas, iterations=12, **SMALL)
    images = images.double()
    together = method(images, targets)
    alone = torch.cat([method(images[i : i + 1], targets[i : i + 1]) for i in range(len(images))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_the_map_is_the_mean_over_the_areas(classify, images, targets):
    classifier = classify("gap", torch.float64)
    images, options = images[:2].double(), {"iterations": 8} | SMALL
    both = ExtremalPerturbation(classifier, areas=(0.1, 0.5), **options)(images, targets[:2])
    single = [
        ExtremalPerturbation(classifier, areas=(a,), **options)(images, targets[:2]) for a in (0.1, 0.5)
    ]
    torch.testing.assert_close(both, (single[0] + single[1]) / 2, rtol=0, atol=1e-9)


def test_a_penalty_on_the_gradient_of_smooth_masks_is_refused():
    smooth = SmoothMasks((12, 12), 4, 6.0, torch.zeros(1))
    parameters = torch.full((1, *smooth.grid), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(smooth(parameters).mean(), parameters, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        gradient.square().sum().backward()


@pytest.mark.parametrize(
    "options",
    [
        {"areas": ()},
        {"areas": (1.0,)},
        {"perturbation": "noise"},
        {"iterations": 0},
        {"sigma": 0},
        {"step": 0},
    ],
)
def test_bad_options_are_named(classify, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ExtremalPerturbation(classify("gap"), **options)
