import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_grad_cam.metrics.cam_mult_image import DropInConfidence, IncreaseInConfidence
from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget

from opticam.metrics import (
    average_drop,
    average_gain,
    average_increase,
    faithfulness,
    faithfulness_scores,
    target_probability,
)

unit = st.floats(0, 1, width=32)


def pair(p, o, dtype=torch.float64):
    return torch.tensor(p, dtype=dtype), torch.tensor(o, dtype=dtype)


def test_hand_computed_values():
    p, o = pair([0.8, 0.5, 0.25, 0.6], [0.2, 0.75, 0.25, 0.9])
    torch.testing.assert_close(average_drop(p, o), torch.tensor([75.0, 0, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(average_gain(p, o), torch.tensor([0, 50.0, 0, 75.0], dtype=torch.float64))
    torch.testing.assert_close(
        average_gain(p, o, denominator="probability"), torch.tensor([0, 50.0, 0, 50.0], dtype=torch.float64)
    )
    assert average_increase(p, o).tolist() == [0, 100, 0, 100]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_certain_and_impossible_classes_give_finite_values(dtype):
    p, o = pair([0.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 0.0], dtype)
    assert average_drop(p, o).tolist() == pytest.approx([0, 0, 0, 100], abs=1e-4)
    assert average_gain(p, o).tolist() == pytest.approx([0, 100, 0, 0], abs=1e-4)
    assert average_increase(p, o).tolist() == [0, 100, 0, 0]


@given(unit, unit)
def test_ranges_and_exclusion(p, o):
    scores = faithfulness_scores(*pair([p], [o], torch.float32))
    drop, gain, increase = (scores[name].item() for name in ("AD", "AG", "AI"))
    assert 0 <= drop <= 100 and 0 <= gain <= 100 + 1e-4
    assert not (drop > 0 and gain > 0)
    assert increase == (100 if o > p else 0)


@pytest.mark.parametrize("measure", [average_drop, average_gain, average_increase])
@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_numbers_that_are_no_probabilities_are_refused(measure, value):
    good, bad = torch.tensor([0.5, 0.5]), torch.tensor([0.5, value])
    with pytest.raises(ValueError, match=r"^p must be probabilities in \[0, 1\]"):
        measure(bad, good)
    with pytest.raises(ValueError, match=r"^o must be probabilities in \[0, 1\]"):
        measure(good, bad)
    rounded = 1 + 4 * torch.finfo(good.dtype).eps  # what a softmax may give
    assert measure(good, torch.tensor([0.5, rounded])).isfinite().all()


def test_gain_over_probability_has_no_upper_bound():
    p, o = pair([1e-4], [0.5])
    assert average_gain(p, o).item() < 100 < 1e5 < average_gain(p, o, denominator="probability").item()


def linear_classifier(seed=0, classes=5):
    weights = torch.randn(
        classes, 3 * 7 * 9, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return lambda images: images.flatten(1).double() @ weights.T


def test_faithfulness_matches_numpy_and_reuses_image_probabilities():
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 3, 7, 9, generator=generator)
    maps = torch.rand(6, 7, 9, generator=generator)
    targets = torch.tensor([0, 4, 2, 1, 3, 3])
    classifier = linear_classifier()

    def probability(pixels):
        logits = classifier(pixels).numpy()
        exponent = np.exp(logits - logits.max(1, keepdims=True))
        return (exponent / exponent.sum(1, keepdims=True))[np.arange(6), targets.numpy()]

    p, o = probability(images), probability(images * maps[:, None])
    scores = faithfulness(classifier, images, maps, targets)
    np.testing.assert_allclose(scores["AD"], 100 * np.maximum(0, p - o) / p, rtol=1e-10)
    np.testing.assert_allclose(scores["AG"], 100 * np.maximum(0, o - p) / (1 - p), rtol=1e-10)
    np.testing.assert_array_equal(scores["AI"], 100.0 * (o > p))

    passes = []

    def counted(pixels):
        passes.append(len(pixels))
        return classifier(pixels)

    again = faithfulness(counted, images, maps, targets, target_probability(classifier, images, targets))
    assert passes == [6]
    assert all(torch.equal(scores[name], again[name]) for name in scores)


def test_the_probability_of_half_precision_logits_has_digits_of_float32():
    logits = torch.tensor([[3.0, -2.0, 1.0]], dtype=torch.bfloat16)
    expected = torch.tensor([np.exp(3) / (np.exp(3) + np.exp(-2) + np.exp(1))], dtype=torch.float32)
    found = target_probability(lambda images: logits, torch.rand(1, 3, 7, 9), torch.tensor([0]))
    torch.testing.assert_close(found, expected)


def test_increase_and_drop_agree_with_grad_cam():
    """There the drop is max(0, p - o), undivided, and the increase 1[o > p]: compare what coincides."""
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(5, 3, 7, 9, generator=generator)
    maps = torch.rand(5, 7, 9, generator=generator)
    targets = torch.tensor([0, 1, 2, 3, 4])

    class Network(torch.nn.Module):
        def forward(self, pixels):
            return linear_classifier()(pixels)

    callables = [ClassifierOutputSoftmaxTarget(int(target)) for target in targets]
    drop = DropInConfidence()(images, maps.numpy(), callables, Network())
    increase = IncreaseInConfidence()(images, maps.numpy(), callables, Network())
    p = target_probability(Network(), images, targets)
    scores = faithfulness(Network(), images, maps, targets)
    np.testing.assert_allclose(scores["AD"] * p / 100, drop, atol=1e-6)
    np.testing.assert_array_equal(scores["AI"] / 100, increase.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"maps": torch.rand(2, 7, 8)}, "maps must have the batch and size"),
        ({"maps": torch.full((2, 7, 9), float("nan"))}, "maps must be finite"),
        ({"maps": torch.full((2, 7, 9), -0.01)}, r"maps must be in \[0, 1\], got values from -0.01 to -0.01"),
        ({"maps": torch.full((2, 7, 9), 1.01)}, r"maps must be in \[0, 1\], got values from 1.01 to 1.01"),
        ({"targets": torch.tensor([0, 5])}, "targets must be class ids in 0..4"),
        ({"targets": torch.tensor([0])}, "targets must have shape"),
        ({"images": torch.rand(3, 7, 9)}, "images must have shape"),
    ],
)
def test_bad_input_names_the_argument(change, message):
    given_arguments = {
        "images": torch.rand(2, 3, 7, 9),
        "maps": torch.rand(2, 7, 9),
        "targets": torch.tensor([0, 1]),
    }
    with pytest.raises(ValueError, match=message):
        faithfulness(linear_classifier(), **(given_arguments | change))


def test_unknown_denominator_and_dtype_are_refused():
    p, o = pair([0.5], [0.5])
    with pytest.raises(ValueError, match="denominator must be one of"):
        average_gain(p, o, denominator="y")
    with pytest.raises(TypeError, match="targets must be an integer tensor"):
        target_probability(linear_classifier(), torch.rand(1, 3, 7, 9), torch.tensor([0.5]))


@pytest.mark.parametrize("measure", [average_drop, average_gain, average_increase])
def test_probabilities_of_two_shapes_or_of_whole_numbers_are_refused(measure):
    p = torch.rand(2)
    with pytest.raises(ValueError, match=r"^p and o must have one shape"):
        measure(p, torch.rand(1))
    with pytest.raises(TypeError, match=r"^o must be a float tensor"):
        measure(p, torch.tensor([0, 1]))


def test_no_score_keeps_the_networks_graph():
    images, maps, targets = torch.rand(2, 3, 7, 9), torch.rand(2, 7, 9), torch.tensor([0, 1])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(189, 4))
    assert not target_probability(network, images, targets).requires_grad
    scores = faithfulness(network, images, maps, targets)
    assert not any(values.requires_grad for values in scores.values())
