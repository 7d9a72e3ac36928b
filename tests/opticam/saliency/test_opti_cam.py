import pytest
import torch
from tolerances import assert_close

from opticam import GradCAM, OptiCAM
from opticam.masking import saliency_mask

NETWORKS = ("gap", "vgg", "vit")


def masked_score(classifier, images, maps, targets):
    with torch.no_grad():
        logits = classifier(images * maps[:, None])
    return logits.gather(1, targets[:, None])[:, 0]


def slow_opti_cam(classifier, image, target, iterations, learning_rate=0.1):
    """One image, written out: Adam by hand, upsampling by torch, the reference of every other test."""
    features = classifier.features(image)
    u = torch.zeros(features.shape[1], dtype=image.dtype, requires_grad=True)
    first, second = torch.zeros_like(u), torch.zeros_like(u)

    def render():
        surface = (u.softmax(0)[:, None, None] * features[0]).sum(0)[None, None]
        surface = torch.nn.functional.interpolate(surface, image.shape[2:], mode="bilinear")[0, 0]
        return (surface - surface.min()) / (surface.max() - surface.min())

    for step in range(1, iterations + 1):
        loss = -classifier(image * render())[0, target]
        (gradient,) = torch.autograd.grad(loss, u)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        with torch.no_grad():
            u -= learning_rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    return render().detach()


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_equal_the_method_written_out(classify, images, targets, name):
    classifier, images = classify(name, torch.float64), images.double()
    maps = OptiCAM(classifier, iterations=12)(images, targets)
    for index, target in enumerate(targets.tolist()):
        expected = slow_opti_cam(classifier, images[index : index + 1], target, 12)
        torch.testing.assert_close(maps[index], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_objective_improves_on_every_image(classify, images, targets, name):
    classifier = classify(name)
    before = masked_score(classifier, images, OptiCAM(classifier, iterations=0)(images, targets), targets)
    after = masked_score(classifier, images, OptiCAM(classifier, iterations=60)(images, targets), targets)
    assert (after > before).all()


def test_without_iterations_the_map_is_the_mean_of_the_channels(classify, images):
    classifier = classify("gap")
    features = classifier.features(images)
    _, expected = saliency_mask(features.mean(1, keepdim=True), torch.zeros(5, 1), images)
    torch.testing.assert_close(OptiCAM(classifier, iterations=0)(images), expected)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    "method", [lambda c: OptiCAM(c, iterations=100), GradCAM], ids=["opti-cam", "grad-cam"]
)
def test_a_map_does_not_depend_on_batch_mates(classify, images, targets, name, method):
    method, images = method(classify(name, torch.float64)), images.double()
    together = method(images, targets)
    for index in range(len(images)):
        alone = method(images[index : index + 1], targets[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_single_steps_in_float32_do_not_depend_on_batch_mates(classify, images, targets, name):
    # Objectives: of a gradient that is all but zero rounding decides the sign, by which Adam's first step goes.
    method = OptiCAM(classify(name), iterations=1)
    alone = [method.optimise(images[i : i + 1], targets[i : i + 1]).objectives for i in range(len(images))]
    terms = 20 * 16  # of the widest linear layer
    assert_close(method.optimise(images, targets).objectives, torch.cat(alone, 1), terms)


def test_whole_runs_in_float32_reach_the_same_objective_in_any_batch(classify, images, targets):
    classifier = classify("vgg")
    method = OptiCAM(classifier, iterations=100)
    together = masked_score(classifier, images, method(images, targets), targets)
    alone = torch.cat([method(images[i : i + 1], targets[i : i + 1]) for i in range(len(images))])
    alone = masked_score(classifier, images, alone, targets)
    start = masked_score(classifier, images, OptiCAM(classifier, iterations=0)(images, targets), targets)
    torch.testing.assert_close(together - start, alone - start, rtol=0.03, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"iterations": -1}, "iterations"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"normalization": "softmax"}, "normalization"),
    ],
)
def test_bad_options_are_named(classify, images, options, match):
    with pytest.raises(ValueError, match=match):
        OptiCAM(classify("gap"), **options)(images)
