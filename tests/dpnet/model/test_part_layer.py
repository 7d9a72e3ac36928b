import numpy as np
import pytest
import torch

from dpnet.model.evaluation import prepare
from dpnet.model.initialisation import fit_centre
from dpnet.model.part_layer import GlobalClassifier, PartClassifier
from dpnet.model.regions import RegionScheme


@pytest.fixture
def features():
    return torch.rand(5, 13, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_logits_are_v_times_the_best_cosine_of_each_part(features):
    model = PartClassifier(13, 3, parts_per_class=2, scheme=RegionScheme("squares")).double()
    output = model(features)
    regions = np.concatenate(
        [
            features.numpy()[:, :, i : i + k, j : j + k].mean(axis=(2, 3))[:, None]
            for k in (1, 2, 3)
            for i in range(3 - k + 1)
            for j in range(4 - k + 1)
        ],
        axis=1,
    )
    parts = model.parts.detach().numpy()
    cosines = np.einsum("pd,brd->bpr", parts, regions) / (
        np.linalg.norm(parts, axis=1)[:, None] * np.linalg.norm(regions, axis=2)[:, None, :]
    )
    weight, bias = (p.detach().numpy() for p in (model.classifier.weight, model.classifier.bias))
    np.testing.assert_allclose(output.bag_of_parts.detach(), cosines.max(axis=2), rtol=1e-10)
    np.testing.assert_array_equal(output.argmax_region, cosines.argmax(axis=2))
    np.testing.assert_allclose(output.logits.detach(), cosines.max(axis=2) @ weight.T + bias, rtol=1e-10)
    np.testing.assert_allclose(model.similarity(features).detach(), cosines, rtol=1e-10)
    assert output.entropy is None and output.argmax_region.dtype == torch.int32


def test_the_length_of_a_part_has_no_effect_and_no_gradient_along_it(features):
    model = PartClassifier(13, 3, parts_per_class=2).double()
    before = model(features).logits
    before.sum().backward()
    assert (model.parts.grad * model.parts).sum(dim=1).abs().max() < 1e-12
    with torch.no_grad():
        model.parts.mul_(torch.rand(6, 1, dtype=torch.float64) * 7 + 0.1)
    torch.testing.assert_close(model(features).logits, before)


def test_part_p_is_owned_by_class_p_over_q():
    assert PartClassifier(4, 3, parts_per_class=2).owner.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("model_dtype, feature_dtype", [("float", "double"), ("double", "float")])
def test_features_of_the_other_precision_give_what_the_wider_of_both_gives(
    features, model_dtype, feature_dtype
):
    model = PartClassifier(13, 3, parts_per_class=2, scheme=RegionScheme("squares"))
    given = getattr(features, feature_dtype)()
    expected = model.double()(given.double(), with_entropy=True)
    found = getattr(model, model_dtype)()(given, with_entropy=True)
    close = {
        "rtol": 0,
        "atol": 2 * 13 / model.temperature * torch.finfo(torch.float32).eps,
        "check_dtype": False,
    }
    torch.testing.assert_close(found.bag_of_parts, expected.bag_of_parts, **close)
    torch.testing.assert_close(found.entropy, expected.entropy, **close)
    assert found.bag_of_parts.dtype == given.dtype


def test_the_entropy_is_one_number_a_region_when_asked_for(features):
    model = PartClassifier(13, 3, parts_per_class=2, temperature=0.3).double()
    entropy = model(features, with_entropy=True).entropy
    log_share = torch.log_softmax(model.similarity(features) / 0.3, dim=1)
    torch.testing.assert_close(entropy, -(log_share.exp() * log_share).sum(dim=1))


def test_bfloat16_features_give_float32_logits_close_to_those_of_float32(features):
    model = PartClassifier(13, 3, parts_per_class=2)
    half = model(features.bfloat16()).logits
    assert half.dtype == torch.float32
    # Regions and parts are unit vectors, so that rounding moves a cosine by eps at most.
    allowed = torch.finfo(torch.bfloat16).eps * model.classifier.weight.abs().sum(1).max().item()
    torch.testing.assert_close(half, model(features.float()).logits, atol=allowed, rtol=0)


def test_the_baseline_is_a_linear_layer_on_the_unit_average(features):
    model = GlobalClassifier(13, 4).double()
    average = features.numpy().mean(axis=(2, 3))
    average /= np.linalg.norm(average, axis=1, keepdims=True)
    weight, bias = (p.detach().numpy() for p in (model.classifier.weight, model.classifier.bias))
    np.testing.assert_allclose(model(features).detach(), average @ weight.T + bias, rtol=1e-10)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: PartClassifier(0, 3), "feature_dim is 0"),
        (lambda: PartClassifier(4, 3, temperature=0), "temperature is 0"),
        (lambda: GlobalClassifier(4, 3, x_norm="max"), "x_norm is 'max'"),
        (lambda: PartClassifier(4, 3)(torch.zeros(2, 5, 3, 3)), r"expected \[B, 4, h, w\]"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("build", [lambda: PartClassifier(13, 3, 2), lambda: GlobalClassifier(13, 3)])
def test_centring_is_subtracting_the_mean_of_the_training_cells(build, features):
    model = build().double()
    shifted = features - features.mean(dim=(0, 2, 3), keepdim=True)
    before = model(shifted)
    fit_centre(model, features.repeat_interleave(60, dim=0))  # two batches, with means of their own
    after = model(features)
    torch.testing.assert_close(model.centre, features.mean(dim=(0, 2, 3)), rtol=1e-5, atol=0)
    for mine, expected in zip(after, before):
        assert mine is None or torch.allclose(mine.double(), expected.double(), atol=1e-6)


@pytest.mark.parametrize("scheme", [RegionScheme("pyramid", (1, 2)), RegionScheme(x_norm="none")])
def test_prepared_regions_and_descriptors_give_the_same_logits(features, scheme):
    features = features.repeat_interleave(60, dim=0)  # two batches
    parts = PartClassifier(13, 3, parts_per_class=2, scheme=scheme).double()
    baseline = GlobalClassifier(13, 3, x_norm=scheme.x_norm).double()
    for model in (parts, baseline):
        fit_centre(model, features)
        found, expected = model(prepare(model, features)), model(features)
        for left, right in zip(found, expected) if model is parts else [(found, expected)]:
            assert left is right or torch.equal(left, right)


def test_prepared_input_of_another_dimension_is_refused(features):
    for model, shape in ((PartClassifier(9, 3, 2), (5, 12, 13)), (GlobalClassifier(9, 3), (5, 13))):
        with pytest.raises(ValueError, match=r"expected \[B,"):
            model(torch.rand(shape))
