import numpy as np
import pytest
import torch
from scipy import stats
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import nn

from opticam.metrics import cascading_randomization, map_similarity, randomization_check


class Attention(nn.Module):
    """A module with a parameter of its own, without a way to draw it anew."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.linear = nn.Linear(3, 2)

    def forward(self, features):
        return self.linear(features * self.scale)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), Attention()
    )


def test_randomization_cascades_on_a_copy():
    original = network()
    before = {name: value.clone() for name, value in original.state_dict().items()}
    steps = [
        {key: value.clone() for key, value in randomized.state_dict().items()}
        for _, randomized in cascading_randomization(original, ["4", "0"])
    ]
    assert all(torch.equal(before[name], value) for name, value in original.state_dict().items())

    def changed(state):
        return {name for name, value in state.items() if not torch.equal(before[name], value)}

    assert changed(steps[0]) == {"4.scale", "4.linear.weight", "4.linear.bias"}
    assert changed(steps[1]) == changed(steps[0]) | {"0.weight", "0.bias"}
    assert torch.equal(steps[0]["4.linear.weight"], steps[1]["4.linear.weight"])


def test_parameters_without_an_initialisation_are_drawn_from_a_narrow_normal():
    block, count = nn.Module(), 10_000
    block.table = nn.Parameter(torch.ones(count))
    _, drawn = next(cascading_randomization(nn.Sequential(block), ["0"]))
    values = drawn[0].table.detach()
    deviation = 0.02  # of its estimate: 1 / sqrt(2 n) of it
    assert values.std().item() == pytest.approx(deviation, rel=5 * (2 * count) ** -0.5)
    assert values.mean().item() == pytest.approx(0, abs=5 * deviation * count**-0.5)


def test_randomization_depends_on_the_seed_alone():
    first, second, third = (
        next(iter(cascading_randomization(network(), ["0"], seed=seed)))[1][0].weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, third)
    original, state = network(), torch.random.get_rng_state()
    list(cascading_randomization(original, ["4"]))
    assert torch.equal(state, torch.random.get_rng_state())
    with pytest.raises(ValueError, match="blocks must be modules"):
        next(cascading_randomization(network(), ["fc"]))


def test_similarities_match_the_libraries():
    rng = np.random.default_rng(0)
    first = rng.random((3, 48, 64)).astype(np.float32)
    second = (0.6 * first + 0.4 * rng.random((3, 48, 64))).astype(np.float32)
    scores = map_similarity(torch.from_numpy(first), torch.from_numpy(second))
    for index in range(3):
        a, b = first[index].astype(float), second[index].astype(float)
        expected = {
            "spearman": stats.spearmanr(a.ravel(), b.ravel()).statistic,
            "hog": stats.pearsonr(*(hog(m, pixels_per_cell=(16, 16)) for m in (a, b))).statistic,
            "ssim": structural_similarity(
                a, b, data_range=1.0, gaussian_weights=True, use_sample_covariance=False
            ),
        }
        assert scores.keys() == expected.keys()
        for name, value in expected.items():
            assert scores[name][index].item() == pytest.approx(value, abs=1e-6)


def test_spearman_of_opposite_maps_is_minus_one():
    maps = torch.rand(2, 48, 48)
    torch.testing.assert_close(map_similarity(maps, 1 - maps)["spearman"], -torch.ones(2))


def test_equal_and_constant_maps():
    maps = torch.rand(2, 48, 48)
    assert all(torch.allclose(values, torch.ones(2)) for values in map_similarity(maps, maps).values())
    constant = map_similarity(maps, torch.zeros_like(maps))
    assert constant["spearman"].isnan().all() and not constant["ssim"].isnan().any()


def test_check_compares_with_the_trained_network():
    def method(classifier):
        return lambda images, targets: images.mean(1) * classifier(images).softmax(1)[:, :1, None].detach()

    def blind(classifier):
        return lambda images, targets: images.mean(1)

    images, targets = torch.rand(2, 3, 48, 48), torch.zeros(2, dtype=torch.int64)
    scores = randomization_check(method, network().eval(), images, targets, ["4", "0"])
    assert list(scores) == ["4", "0"]
    assert (scores["4"]["ssim"] < 1).all()
    unmoved = randomization_check(blind, network().eval(), images, targets, ["4"])
    torch.testing.assert_close(unmoved["4"]["ssim"], torch.ones(2))
    maps = method(network().eval())(images, targets)
    known = randomization_check(method, network().eval(), images, targets, ["4", "0"], maps=maps)
    assert all(
        torch.equal(known[block][name], scores[block][name]) for block in known for name in known[block]
    )


@pytest.mark.parametrize("size", [(47, 64), (64, 47), (8, 8)])
def test_maps_without_a_block_of_cells_are_refused_before_the_method_runs(size):
    with pytest.raises(ValueError, match="maps must have 48 x 48 pixels or more, got"):
        map_similarity(torch.rand(2, *size), torch.rand(2, *size))
    with pytest.raises(ValueError, match="images must have 48 x 48 pixels or more, got"):
        randomization_check(
            None, network(), torch.rand(2, 3, *size), torch.zeros(2, dtype=torch.int64), ["4"]
        )


def test_a_module_has_the_last_word_on_its_childrens_parameters():
    """nn.MultiheadAttention draws by Xavier's uniform distribution of [3D, D], and sets both biases to zero."""
    network = nn.Sequential(nn.MultiheadAttention(32, 4))
    nn.init.normal_(network[0].out_proj.bias)
    _, drawn = next(cascading_randomization(network, ["0"]))
    weight, bound = drawn[0].in_proj_weight.detach(), (6 / (32 + 96)) ** 0.5
    assert bound * 0.99 < weight.abs().max() <= bound
    assert not torch.equal(weight, network[0].in_proj_weight)
    assert drawn[0].in_proj_bias.count_nonzero() == drawn[0].out_proj.bias.count_nonzero() == 0
    weight, bound = drawn[0].out_proj.weight.detach(), 32**-0.5  # its own, a linear layer's
    assert bound * 0.99 < weight.abs().max() <= bound


@pytest.mark.parametrize("place", [0, 1])
def test_maps_that_are_not_finite_have_no_similarity(place):
    given = [torch.rand(1, 48, 48), torch.rand(1, 48, 48)]
    given[place][0, 3, 4] = torch.nan
    with pytest.raises(ValueError, match=r"^maps must be finite"):
        map_similarity(*given)


def test_the_check_is_of_the_seed_that_is_given():
    def method(network):
        return lambda images, targets: network(images)[:, 0].detach()

    torch.manual_seed(0)
    network, images = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Sigmoid()), torch.rand(1, 3, 48, 48)
    found = randomization_check(method, network, images, torch.tensor([0]), ["0"], seed=5)["0"]
    _, drawn = next(cascading_randomization(network, ["0"], seed=5))
    expected = map_similarity(method(network)(images, None), method(drawn)(images, None))
    assert all(torch.equal(found[name], expected[name]) for name in expected)
