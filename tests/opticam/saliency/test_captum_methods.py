# ruff: noqa: NPY002 -- Captum draws from NumPy's global generator
import inspect
import sys

import captum.attr
import numpy as np
import pytest
import torch
from skimage.segmentation import quickshift
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_distances

from opticam import LIME, Classifier, GradientSHAP
from opticam.saliency.methods.captum_support import seeded
from opticam.saliency.methods.lime import _proximity, mean_colours, superpixels
from opticam.saliency.methods.weighted_ridge import WeightedRidge

METHODS = {"lime": lambda c: LIME(c, samples=60), "shap": GradientSHAP}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def test_weighted_ridge_is_sklearns():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(40, 7, generator=generator).round()
    targets, weights = torch.rand(2, 40, generator=generator, dtype=torch.float64)
    model = WeightedRidge()
    model.fit([(inputs[:25], targets[:25], weights[:25]), (inputs[25:], targets[25:], weights[25:])])
    expected = Ridge(alpha=1).fit(inputs, targets, sample_weight=weights).coef_
    np.testing.assert_allclose(model.representation(), expected)


@pytest.mark.parametrize("counts", [(6,), (3, 3, 1)], ids=["at once", "in parts"])
def test_gradient_shap_is_captums(classify, images, targets, counts):
    classifier, images = classify("vgg", torch.float64), images.double()
    method = GradientSHAP(classifier, samples=sum(counts), seed=3, max_batch=max(counts))
    maps = method(images, targets)
    shap = captum.attr.GradientShap(classifier)
    for index, target in enumerate(targets.tolist()):
        image = images[index : index + 1]
        black = torch.zeros_like(image)
        with seeded(3):
            means = [shap.attribute(image, black, count, 0.09, target=target) for count in counts]
        attribution = sum(count * mean for count, mean in zip(counts, means))
        raw = attribution.sum(1).relu()[0].detach()
        torch.testing.assert_close(maps[index], raw / raw.max())


def test_limes_samples_are_as_many_as_those_of_its_authors_code():
    """lime_image.LimeImageExplainer.explain_instance(num_samples=1000)."""
    assert inspect.signature(LIME).parameters["samples"].default == 1000


def test_gradient_shap_of_a_linear_network_is_gradient_times_pixel(images):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 35 * 35, 4)).double()
    classifier = Classifier(network, "0", reshape=lambda output: output[:, :, None, None])
    images = images.double()
    attribution = GradientSHAP(classifier, samples=5, noise=0.0)._attribute(images, 1, lambda y: y[:, 2])
    gradient = network[1].weight[2].reshape(3, 35, 35) / classifier.std[0]
    torch.testing.assert_close(attribution[0], (gradient * images[1]).detach())
    gained = classifier(images[1:2]) - classifier(torch.zeros_like(images[1:2]))
    torch.testing.assert_close(attribution.sum(), gained[0, 2].detach())


class Additive(torch.nn.Module):
    """Its first probability is a weighted sum of pixels, so it is linear in the superpixels' switches."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, images):
        probability = 0.5 + (images * self.weight).sum((1, 2, 3))
        return torch.stack([probability, 1 - probability], 1).log()


def test_lime_finds_what_each_superpixel_adds():
    generator = torch.Generator().manual_seed(0)
    blocks = torch.rand(1, 3, 4, 4, generator=generator)
    texture = 0.9 + 0.1 * torch.rand(90, 70, generator=generator)
    image = torch.nn.functional.interpolate(blocks, (90, 70)) * texture
    weight = torch.randn(3, 90, 70, generator=generator) / 2000
    classifier = Classifier(Additive(weight), "", mean=(0,) * 3, std=(1,) * 3)
    segments = superpixels(image[0])
    gains = (weight * (image - mean_colours(image, segments))[0]).sum(0).flatten()
    expected = torch.zeros(int(segments.max()) + 1).index_add(0, segments.flatten(), gains)[segments]
    method = LIME(classifier, samples=600)
    found = method._explain(image, 0, lambda logits: logits.softmax(1)[:, 0])
    assert segments.max() > 5
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05 * float(expected.abs().max()))
    positive = expected.relu()
    torch.testing.assert_close(method(image, 0)[0], positive / positive.max(), rtol=0, atol=0.05)


@pytest.fixture
def blocks():
    """A textured picture [1,3,90,70] of 4 x 4 colours, which make several superpixels."""
    generator = torch.Generator().manual_seed(0)
    colours = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4, generator=generator), (90, 70))
    return (colours * (0.9 + 0.1 * torch.rand(90, 70, generator=generator))).double()


def test_lime_has_the_superpixels_of_the_authors_code(blocks):
    """Theirs: quickshift with kernel_size=4, max_dist=200, ratio=0.2."""
    picture = blocks[0, :, :40, :36]
    expected = quickshift(picture.permute(1, 2, 0).numpy(), kernel_size=4, max_dist=200, ratio=0.2)
    assert expected.max() > 2
    np.testing.assert_array_equal(superpixels(picture), expected)


def test_lime_weighs_variants_as_the_authors_code():
    """Theirs: sqrt(exp(-d^2 / w^2)) with w = 0.25 of scikit-learn's cosine distance d to all switches on."""
    switches = torch.rand(30, 11, generator=torch.Generator().manual_seed(0)).round()
    switches[0], switches[1] = 1, 0
    distances = cosine_distances(switches, torch.ones(1, 11))[:, 0]
    found = [_proximity(None, None, row[None]).item() for row in switches]
    np.testing.assert_allclose(found, np.sqrt(np.exp(-(distances**2) / 0.25**2)), atol=1e-6)


def linear(inputs, classes):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(inputs, classes)).double()


@pytest.mark.parametrize("classes", [1, 4])
def test_lime_explains_the_classifiers_own_probability(blocks, classes):
    network, target = linear(3 * 90 * 70, classes), classes - 1
    by_softmax, by_sigmoid = (
        LIME(Classifier(network, "0", probability=name), samples=60) for name in ("softmax", "sigmoid")
    )
    expected = by_softmax(blocks, lambda logits: 1 / (1 + (-logits[:, target]).exp()))
    assert len(expected.unique()) > 2
    torch.testing.assert_close(by_sigmoid(blocks, target), expected)


def test_lime_of_four_channels_is_told():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4 * 64, 3))
    classifier = Classifier(network, "0", mean=0.5, std=0.5)
    with pytest.raises(ValueError, match=r"^images: LIME .* needs 3 channels, or 1 of greys, got 4"):
        LIME(classifier)(torch.rand(1, 4, 8, 8), 1)


def test_lime_of_grey_images_is_that_of_grey_colours(blocks):
    network, mean = linear(90 * 70, 4), torch.nn.Conv2d(3, 1, 1, bias=False).double()
    torch.nn.init.constant_(mean.weight, 1 / 3)
    coloured = LIME(Classifier(torch.nn.Sequential(mean, network), "0", mean=(0,), std=(1,)), samples=60)
    pictures = blocks.mean(1, keepdim=True)
    expected = coloured(pictures.expand(-1, 3, -1, -1), 1)
    assert len(expected.unique()) > 2
    found = LIME(Classifier(network, "0", mean=(0,), std=(1,)), samples=60)(pictures, 1)
    torch.testing.assert_close(found, expected)


def test_mean_colours_by_hand():
    image = torch.tensor([[[[0.0, 0.5], [1.0, 0.25]]]])
    segments = torch.tensor([[0, 0], [1, 0]])
    assert mean_colours(image, segments).tolist() == [[[[0.25, 0.25], [1.0, 0.25]]]]


@methods
def test_maps_do_not_depend_on_batch_mates_or_on_global_seeds(classify, images, targets, method):
    method = method(classify("gap", torch.float64))
    images = images.double()
    torch.manual_seed(1)
    together = method(images[:3], targets[:3])
    torch.manual_seed(2)
    np.random.seed(5)
    alone = torch.cat([method(images[i : i + 1], targets[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@methods
def test_random_generators_go_on_undisturbed(classify, images, method):
    torch.manual_seed(4)
    np.random.seed(4)
    method(classify("gap"))(images[:1], 1)
    drawn = torch.rand(3), np.random.rand(3)
    torch.manual_seed(4)
    np.random.seed(4)
    torch.testing.assert_close(drawn[0], torch.rand(3), rtol=0, atol=0)
    np.testing.assert_array_equal(drawn[1], np.random.rand(3))


@methods
def test_callable_targets(classify, images, method):
    method, images = method(classify("gap", torch.float64)), images.double()
    if isinstance(method, LIME):
        expected, target = method(images[:2], [3, 1]), [3, 1]
        found = method(images[:2], lambda y: y.softmax(1).gather(1, torch.tensor(target)[:, None])[:, 0])
    else:
        expected = method(images[:2], [3, 1])
        found = method(images[:2], lambda y: y.gather(1, torch.tensor([[3], [1]]))[:, 0])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("method", [LIME, GradientSHAP])
def test_without_captum_the_error_says_what_to_install(classify, method, monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.setitem(sys.modules, "captum", None)
    with pytest.raises(ImportError, match="pip install captum"):
        method(classify("gap"))


@pytest.mark.parametrize("method", [LIME, GradientSHAP])
@pytest.mark.parametrize("options", [{"samples": 0}, {"max_batch": 0}])
def test_bad_options_are_named(classify, method, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        method(classify("gap"), **options)
