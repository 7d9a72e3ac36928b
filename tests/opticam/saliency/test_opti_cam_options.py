import inspect
import math
import warnings

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from opticam import Classifier, OptiCAM
from opticam.saliency.optimisation.objectives import OBJECTIVES
from opticam.saliency.selectors import SELECTORS


def scores(classifier, images, targets):
    with torch.no_grad():
        return classifier(images).gather(1, targets[:, None])[:, 0]


def written_out(objective, image, masked, rest):
    """The paper's formulas: eq. (10), (19), (F.1), (F.2)."""
    return {
        "Mask": masked,
        "Diff": -abs(image - masked),
        "IOMask": masked - rest,
        "IODiff": -abs(image - masked) + abs(image - rest),
    }[objective]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("normalization", ["range", "max", "sigmoid"])
def test_objectives_are_the_papers_and_improve(classify, images, targets, objective, normalization):
    classifier = classify("vgg", torch.float64)
    images = images.double()
    method = OptiCAM(classifier, objective=objective, normalization=normalization, iterations=40)
    found = method.optimise(images, targets)
    masked = images * found.maps[:, None]
    parts = [scores(classifier, pixels, targets) for pixels in (images, masked, images - masked)]
    expected = torch.stack([written_out(objective, *values) for values in zip(*parts)])
    torch.testing.assert_close(found.objectives[-1], expected, rtol=0, atol=1e-9)
    assert (found.objectives.amax(0) > found.objectives[0]).all()


@pytest.mark.parametrize("probability", ["softmax", "sigmoid", lambda logits: logits.exp() / 1e3])
@pytest.mark.parametrize("selector", SELECTORS)
def test_selectors_are_maximised(classify, images, targets, selector, probability):
    classifier = classify("vgg", torch.float64, probability=probability)
    images = images.double()
    found = OptiCAM(classifier, selector=selector, iterations=30).optimise(images, targets)
    with torch.no_grad():
        logits = classifier(images * found.maps[:, None])
    rows = torch.arange(5)
    others = torch.stack([row[torch.arange(7) != c].max() for row, c in zip(logits, targets)])
    p = {
        "softmax": -F.cross_entropy(logits, targets, reduction="none"),
        "sigmoid": -F.softplus(-logits[rows, targets]),
    }.get(probability, logits[rows, targets] - math.log(1e3))
    expected = {
        "logit": logits[rows, targets],
        "margin": logits[rows, targets] - others,
        "log-probability": p,
        "probability": p.exp(),
    }[selector]
    torch.testing.assert_close(found.objectives[-1], expected, rtol=0, atol=1e-9)
    assert (found.objectives[-1] > found.objectives[0]).all()


def test_history_and_maps_are_those_of_plain_calls(classify, images, targets):
    classifier = classify("gap", torch.float64)
    images = images.double()
    method = OptiCAM(classifier, iterations=6)
    found = method.optimise(images, targets)
    assert found.objectives.shape == (7, 5) and found.course.shape == (7, *found.logits_u.shape)
    assert found.steps.tolist() == [6] * 5
    torch.testing.assert_close(found.maps, OptiCAM(classifier, iterations=6)(images, targets), rtol=0, atol=0)
    for iterations in (0, 1, 4):
        maps = OptiCAM(classifier, iterations=iterations)(images, targets)
        objective = scores(classifier, images * maps[:, None], targets)
        torch.testing.assert_close(found.objectives[iterations], objective, rtol=0, atol=1e-9)
        torch.testing.assert_close(method.maps_at(images, found.course[iterations]), maps, rtol=0, atol=0)


@pytest.mark.parametrize("selector", SELECTORS)
def test_one_logit_has_a_sigmoid_and_nothing_to_compare_with(images, selector):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 1)
    )
    sigmoid, softmax = (
        OptiCAM(Classifier(network, "1", probability=name), iterations=5, selector=selector)
        for name in ("sigmoid", "softmax")
    )
    if selector == "margin":
        with pytest.raises(ValueError, match="selector: 'margin' needs another logit"):
            sigmoid(images, 0)
        return
    found = sigmoid.optimise(images, 0).objectives
    assert (found[-1] > found[0]).all()
    if "probability" in selector:
        with pytest.raises(ValueError, match="one logit, whose softmax is 1"):
            softmax(images, 0)


def test_maps_are_of_the_dtype_of_a_calls(classify, images, targets):
    method = OptiCAM(classify("gap"), iterations=3, precision="float64")
    found, maps = method.optimise(images, targets), method(images, targets)
    assert found.maps.dtype == maps.dtype == torch.float32
    assert torch.equal(found.maps, maps)
    assert found.logits_u.dtype == found.objectives.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_mean_of_channels_that_is_rounding_is_told_once_a_call(images, targets, dtype):
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(35, 5, 3, 4, 32, 48, num_classes=7).to(dtype).eval()
    method, images = OptiCAM(Classifier(network), iterations=2), images.to(dtype)
    for explain in (method, method.optimise):
        with pytest.warns(UserWarning, match="target_layer: its channels add up to zero") as told:
            explain(images, targets)
        assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        OptiCAM(Classifier(network), iterations=2, relu_features=True)(images, targets)
        nn.init.constant_(network.encoder.layers[-1].ln_1.bias, 1e-3)  # the mean is that, and no rounding
        method(images, targets)


def test_an_image_that_stops_keeps_its_map_and_stops_no_other(classify, images, targets):
    classifier = classify("gap", torch.float64)
    images = images.double()
    images[2] = 0.0  # a masked black image never changes
    found = OptiCAM(classifier, iterations=15, stop_change=1e-10).optimise(images, targets)
    assert found.steps.tolist() == [15, 15, 1, 15, 15]
    for index in range(5):
        row = slice(index, index + 1)
        alone = OptiCAM(classifier, iterations=15, stop_change=1e-10).optimise(images[row], targets[row])
        assert alone.steps[0] == found.steps[index]
        torch.testing.assert_close(alone.maps[0], found.maps[index], rtol=0, atol=1e-6)


def test_a_wide_stop_ends_each_image_at_its_own_iteration(classify, images, targets):
    classifier = classify("gap", torch.float64)
    images = images.double()
    full = OptiCAM(classifier, iterations=40).optimise(images, targets).objectives
    change = float(full.diff(dim=0).abs().median())
    found = OptiCAM(classifier, iterations=40, stop_change=change).optimise(images, targets)
    for index in range(5):
        small = (full[1:, index] - full[:-1, index]).abs() < change
        expected = int(small.nonzero()[0]) + 1 if small[:-1].any() else 40
        assert found.steps[index] == expected
        torch.testing.assert_close(found.objectives[-1, index], full[expected, index], rtol=0, atol=1e-9)
    assert found.steps.unique().numel() > 1


def test_all_images_stopped_ends_the_run(classify):
    black = torch.zeros(2, 3, 35, 35)
    found = OptiCAM(classify("gap"), iterations=100, stop_change=1e-10).optimise(black, 1)
    assert len(found.objectives) < 20
    assert found.steps.tolist() == [1, 1]


def test_no_change_is_less_than_zero(classify):
    """With stop_change=0 even images whose objective stays as it is go on to the end."""
    found = OptiCAM(classify("gap"), iterations=15, stop_change=0.0).optimise(torch.zeros(2, 3, 35, 35), 1)
    assert found.steps.tolist() == [15, 15]


def test_defaults_are_the_papers():
    """Appendix A: Adam at a rate of 0.1, at most 100 iterations; eqs. (8) to (10): range, and the masked logit."""
    paper = {
        "iterations": 100,
        "learning_rate": 0.1,
        "objective": "Mask",
        "selector": "logit",
        "normalization": "range",
    }
    parameters = inspect.signature(OptiCAM).parameters
    assert {name: parameters[name].default for name in paper} == paper


def surface_map(logits_u, features, size):
    """n(up(sum_k softmax(u)_k A^k)) by PyTorch's own interpolation."""
    surface = (logits_u.softmax(1)[:, :, None, None] * features).sum(1, keepdim=True)
    surface = F.interpolate(surface, size, mode="bilinear")[:, 0]
    low, high = surface.amin((1, 2), keepdim=True), surface.amax((1, 2), keepdim=True)
    return (surface - low) / (high - low)


def test_several_layers_share_one_softmax(classify, images, targets):
    classifier = classify("vgg", torch.float64)
    images = images.double()
    layers = ["4", classifier.network[5]]  # 20 channels each, the second on a coarser grid
    found = OptiCAM(classifier, layers=layers, iterations=20).optimise(images, targets)
    first, second = classifier.features_of(images, layers)[0]
    assert first.shape[2:] != second.shape[2:]
    features = torch.cat([first, F.interpolate(second, first.shape[2:], mode="bilinear")], 1)
    assert found.logits_u.shape == (5, 40)
    expected = surface_map(found.logits_u, features, (35, 35))
    torch.testing.assert_close(found.maps, expected, rtol=0, atol=1e-9)
    assert (found.objectives[-1] > found.objectives[0]).all()


class Branches(nn.Module):
    """Three layers on one image, whose grids differ in rows, in columns or in both."""

    def __init__(self):
        super().__init__()
        self.narrow, self.wide, self.low = (nn.Conv2d(3, 4, 1, stride) for stride in ((1, 4), (1, 2), (2, 1)))
        self.fc = nn.Linear(12, 5)

    def forward(self, images):
        parts = [layer(images).relu().mean((2, 3)) for layer in (self.narrow, self.wide, self.low)]
        return self.fc(torch.cat(parts, 1))


@pytest.mark.parametrize(("layers", "grid"), [(["narrow", "low"], (4, 16)), (["narrow", "wide"], (8, 8))])
def test_layers_of_any_two_grids_share_that_of_most_cells(layers, grid):
    torch.manual_seed(0)
    classifier = Classifier(Branches().double(), "wide", mean=0.4, std=0.2)
    images = torch.rand(2, 3, 8, 16, dtype=torch.float64)
    found = OptiCAM(classifier, layers=layers, iterations=3).optimise(images, 1)
    given = classifier.features_of(images, layers)[0]
    features = torch.cat([F.interpolate(maps, grid, mode="bilinear") for maps in given], 1)
    expected = surface_map(found.logits_u, features, (8, 16))
    torch.testing.assert_close(found.maps, expected, rtol=0, atol=1e-9)


def test_relu_features_changes_maps_of_signed_features_only(classify, images, targets):
    for name, changes in (("gap", False), ("vit", True)):
        classifier = classify(name, torch.float64)
        plain, clipped = (
            OptiCAM(classifier, iterations=1, relu_features=clip)(images.double(), targets)
            for clip in (False, True)
        )
        assert bool((plain - clipped).abs().max() > 1e-3) == changes


@pytest.mark.parametrize("option", ["objective", "selector", "normalization"])
def test_unknown_choices_are_refused(classify, option):
    with pytest.raises(ValueError, match=f"{option}: expected one of .*, got 'none'"):
        OptiCAM(classify("gap"), **{option: "none"})


def test_unknown_layers_are_refused(classify, images):
    with pytest.raises(ValueError, match="target_layer: Sequential has no layer 'layer9'"):
        OptiCAM(classify("vgg"), layers=["layer9"])(images)
