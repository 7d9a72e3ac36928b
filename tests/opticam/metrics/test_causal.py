import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from opticam.metrics import deletion, insertion, rise_blur, saliency_ranks

HEIGHT, WIDTH = 13, 15


def network(seed=0, classes=4, channels=3):
    torch.manual_seed(seed)
    layers = (
        torch.nn.Conv2d(channels, 6, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(252, classes),
    )
    return torch.nn.Sequential(*layers).double().eval()


def inputs(batch=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, 3, HEIGHT, WIDTH, generator=generator, dtype=torch.float64)
    maps = torch.rand(batch, HEIGHT, WIDTH, generator=generator)
    return images, (maps * 8).round() / 8  # many ties


@torch.no_grad()
def plain_loop(classifier, image, saliency_map, start, finish, portion):
    """RISE's procedure with host copies, one image and one stage at a time."""
    target = classifier(image[None])[0].argmax().item()
    order = np.flip(np.argsort(saliency_map.numpy().ravel(), kind="stable"))
    pixels, goal = (pixels.numpy().reshape(len(image), -1).copy() for pixels in (start, finish))
    curve = []
    for stage in range(-(-len(order) // portion) + 1):
        logits = classifier(torch.from_numpy(pixels.reshape(1, -1, HEIGHT, WIDTH)))
        curve.append(logits.softmax(1)[0, target].item())
        chosen = order[stage * portion : (stage + 1) * portion]
        pixels[:, chosen] = goal[:, chosen]
    area = (sum(curve) - curve[0] / 2 - curve[-1] / 2) / (len(curve) - 1)
    return curve, 100 * area


def rise_kernel():
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    return ndimage.gaussian_filter(impulse, 5)


def blur_by_scipy(image):
    return np.stack([ndimage.correlate(channel, rise_kernel(), mode="constant") for channel in image.numpy()])


def test_blur_is_rises():
    images, _ = inputs()
    expected = np.stack([blur_by_scipy(image) for image in images])
    np.testing.assert_allclose(rise_blur(images), expected, atol=1e-12)
    assert rise_kernel().sum() == pytest.approx(1)


@pytest.mark.parametrize("max_batch", [1, 2, 7, 64, 1000])
def test_insertion_matches_the_plain_loop(max_batch):
    images, maps = inputs()
    classifier = network()
    result = insertion(classifier, images, maps, steps=HEIGHT, max_batch=max_batch)
    for index, image in enumerate(images):
        start = torch.from_numpy(blur_by_scipy(image))
        curve, area = plain_loop(classifier, image, maps[index], start, image, WIDTH)
        np.testing.assert_allclose(result.curve[index], curve, atol=1e-6)
        assert result.auc[index].item() == pytest.approx(area, abs=1e-4)


@pytest.mark.parametrize(
    ("substrate", "colour"),
    [
        ("black", (0, 0, 0)),
        ("grey", (0.485, 0.456, 0.406)),
        ((0.2, 0.4, 0.6), (0.2, 0.4, 0.6)),
        ("black", (0,)),
        ((0.3,), (0.3,)),
    ],
)
def test_deletion_matches_the_plain_loop(substrate, colour):
    images, maps = inputs(seed=2)
    images, classifier = images[:, : len(colour)], network(channels=len(colour))
    result = deletion(classifier, images, maps, substrate=substrate, steps=HEIGHT)
    assert result.curve.shape == (3, HEIGHT + 1)
    for index, image in enumerate(images):
        finish = torch.tensor(colour, dtype=torch.float64)[:, None, None].expand_as(image)
        curve, area = plain_loop(classifier, image, maps[index], image, finish, WIDTH)
        np.testing.assert_allclose(result.curve[index], curve, atol=1e-6)
        assert result.auc[index].item() == pytest.approx(area, abs=1e-4)


def brightness(images):
    """Two classes; the probability of the first is the mean of all pixels."""
    mean = images.mean((1, 2, 3))
    return torch.stack([mean, 1 - mean], 1).log()


def test_portions_are_rounded_where_the_steps_do_not_divide_the_pixels():
    white, targets = torch.ones(1, 3, HEIGHT, WIDTH, dtype=torch.float64), torch.tensor([0])
    curve = deletion(brightness, white, torch.rand(1, HEIGHT, WIDTH), targets, steps=11).curve[0]
    pixels = HEIGHT * WIDTH
    np.testing.assert_allclose(curve, 1 - np.rint(np.arange(12) * pixels / 11) / pixels, atol=1e-6)


def test_by_default_the_curves_have_the_papers_224_steps_and_deletion_is_to_black():
    images, maps = torch.rand(1, 3, 15, 15), torch.rand(1, 15, 15)
    curves = [
        metric(brightness, images, maps, torch.tensor([0])).curve[0] for metric in (insertion, deletion)
    ]
    assert [len(curve) for curve in curves] == [225, 225]
    assert curves[1][-1] == 0


def test_ends_of_the_curves():
    images, maps = inputs()
    classifier = network()
    targets = torch.tensor([3, 0, 1])
    with torch.no_grad():
        plain = classifier(images).softmax(1)[range(3), targets]
        black = classifier(torch.zeros_like(images)).softmax(1)[range(3), targets]
    appearing = insertion(classifier, images, maps, targets, steps=10).curve
    vanishing = deletion(classifier, images, maps, targets, steps=10).curve
    torch.testing.assert_close(appearing[:, -1].double(), plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(vanishing[:, 0].double(), plain, atol=1e-6, rtol=0)
    torch.testing.assert_close(vanishing[:, -1].double(), black, atol=1e-6, rtol=0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_ranks_are_a_stable_order(values):
    saliency_map = torch.tensor(values, dtype=torch.float32).view(1, 1, -1)
    ranks = saliency_ranks(saliency_map)[0, 0].tolist()
    assert sorted(ranks) == list(range(len(values)))
    expected = sorted(range(len(values)), key=lambda pixel: (values[pixel], pixel), reverse=True)
    assert [ranks.index(place) for place in range(len(values))] == expected


@settings(max_examples=20)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 40))
def test_batches_stay_within_the_limit(batch, steps, max_batch):
    sizes = []

    def classifier(pixels):
        sizes.append(len(pixels))
        return pixels.mean((2, 3))

    images, maps = inputs(batch)
    deletion(
        classifier, images, maps, torch.zeros(batch, dtype=torch.int64), steps=steps, max_batch=max_batch
    )
    assert max(sizes) <= max_batch
    assert sum(sizes) == batch * (steps + 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be between 1 and"),
        ({"steps": HEIGHT * WIDTH + 1}, "steps must be between 1 and the number of pixels, 195, got 196"),
        ({"steps": 5, "max_batch": 0}, "max_batch: must be 1 or more"),
        ({"substrate": "white"}, "substrate must be 'black', 'grey' for images of 3 channels, or numbers"),
        ({"substrate": (124, 116, 104)}, "substrate must be"),
        ({"substrate": (-0.1, 0.5, 0.5)}, "substrate must be"),
        ({"substrate": (0.5,)}, "one for each of the 3 channels"),
    ],
)
def test_bad_options_are_refused(options, message):
    images, maps = inputs()
    with pytest.raises(ValueError, match=message):
        deletion(network(), images, maps, **options)


def test_grey_is_a_colour_of_three_channels():
    images, maps = inputs()
    with pytest.raises(ValueError, match="one for each of the 1 channels, got 'grey'"):
        deletion(network(channels=1), images[:, :1], maps, substrate="grey", steps=HEIGHT)
