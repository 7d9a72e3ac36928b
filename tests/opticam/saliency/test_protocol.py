"""What every method promises: targets, dtypes, ranges, errors."""

import pytest
import torch

from opticam import FakeCAM, GradCAM, OptiCAM

METHODS = {"fake": FakeCAM, "grad": GradCAM, "opti": lambda classifier: OptiCAM(classifier, iterations=2)}
methods = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@methods
@pytest.mark.parametrize("name", ["gap", "vgg", "vit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_are_finite_in_the_unit_interval(classify, images, method, name, dtype):
    maps = method(classify(name, dtype))(images.to(dtype))
    assert maps.shape == (5, 35, 35)
    assert maps.dtype == dtype
    assert not maps.requires_grad
    assert maps.min() >= 0
    assert maps.max() <= 1


@methods
def test_every_form_of_the_target_gives_the_same_map(classify, images, method):
    method = method(classify("vgg"))
    expected = method(images, 3)
    forms = [
        [3] * 5,
        torch.full((5,), 3),
        torch.full((5,), 3, dtype=torch.int32),
        lambda logits: logits[:, 3],
    ]
    for form in forms:
        torch.testing.assert_close(method(images, form), expected, rtol=0, atol=1e-5)


@methods
def test_no_target_means_the_predicted_class(classify, images, method):
    classifier = classify("vgg")
    method = method(classifier)
    predicted = classifier(images).argmax(1)
    torch.testing.assert_close(method(images), method(images, predicted), rtol=0, atol=1e-5)


@methods
def test_an_empty_batch_gives_no_maps(classify, images, method):
    assert method(classify("gap"))(images[:0]).shape == (0, 35, 35)


@methods
def test_autocast_gives_float32_maps(classify, images, method):
    with torch.autocast("cpu", torch.bfloat16):
        maps = method(classify("gap"))(images, 2)
    assert maps.dtype == torch.float32
    assert torch.isfinite(maps).all()


@methods
def test_black_images_give_finite_maps(classify, method):
    assert torch.isfinite(method(classify("gap"))(torch.zeros(2, 3, 35, 35), 2)).all()


@methods
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda images: images[0], ValueError),
        (lambda images: (images * 255).to(torch.uint8), ValueError),
        (lambda images: images * 255, ValueError),
        (lambda images: images - 1, ValueError),
        (lambda images: images / 0 * 0, ValueError),
        (lambda images: images.numpy(), TypeError),
    ],
    ids=["no batch", "uint8", "0..255", "negative", "nan", "numpy"],
)
def test_bad_images_are_refused(classify, images, method, change, error):
    with pytest.raises(error, match="images"):
        method(classify("gap"))(change(images))


@methods
@pytest.mark.parametrize(
    ("targets", "error"),
    [(7, ValueError), (-1, ValueError), ([1, 2], ValueError), (1.0, TypeError), ([True] * 5, TypeError)],
)
def test_bad_targets_are_refused(classify, images, method, targets, error):
    with pytest.raises(error, match="targets"):
        method(classify("gap"))(images, targets)


@methods
def test_a_bare_network_is_refused(build, method):
    with pytest.raises(TypeError, match=r"wrap a network as Classifier\(network\)"):
        method(build("gap"))
