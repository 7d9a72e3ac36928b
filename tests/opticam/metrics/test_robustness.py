import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from scipy import stats

from opticam.metrics import adcc, aopc, max_sensitivity, target_probability
from opticam.metrics.robustness import pearson, salient_patches


def classifier(images):
    weights = torch.randn(
        4, images[0].numel(), generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return images.double().flatten(1) @ weights.T


def inputs(batch=3, height=30, width=26):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(batch, 3, height, width, generator=generator).double()
    maps = torch.rand(batch, height, width, generator=generator).double()
    return images, maps, torch.arange(batch) % 4


def patches_by_loops(saliency_map, patch, regions):
    """All patches by falling sum, each kept if it meets none before it."""
    height, width = saliency_map.shape
    padded = np.pad(saliency_map.astype(float), ((0, patch), (0, patch)))
    corners = [(row, column) for row in range(height) for column in range(width)]
    corners.sort(key=lambda c: -padded[c[0] : c[0] + patch, c[1] : c[1] + patch].sum())
    chosen = []
    for row, column in corners:
        if all(abs(row - r) >= patch or abs(column - c) >= patch for r, c in chosen):
            chosen.append((row, column))
    return chosen[:regions]


def test_aopc_matches_a_plain_loop():
    images, maps, targets = inputs()
    scores = aopc(classifier, images, maps, targets, patch=5, regions=6, max_batch=7)
    for index in range(3):
        target = targets[index : index + 1]
        plain = target_probability(classifier, images[index : index + 1], target)
        perturbed, drops = images[index : index + 1].clone(), []
        for row, column in patches_by_loops(maps[index].numpy(), 5, 6):
            perturbed[:, :, row : row + 5, column : column + 5] = 0
            drops.append(plain - target_probability(classifier, perturbed, target))
        assert scores[index].item() == pytest.approx(100 * torch.stack(drops).mean().item(), abs=1e-6)


@pytest.mark.parametrize("max_batch", [1, 5, 8, 100])
def test_aopc_keeps_to_the_largest_batch(max_batch):
    """The images themselves, then four perturbed ones of each, which are never split."""
    sizes = []

    def counted(pixels):
        sizes.append(len(pixels))
        return pixels.mean((2, 3))

    images, maps = torch.rand(3, 3, 12, 12), torch.rand(3, 12, 12)
    aopc(counted, images, maps, torch.tensor([0, 1, 2]), patch=2, regions=4, max_batch=max_batch)
    assert sizes[0] == 3 and sum(sizes[1:]) == 12 and max(sizes[1:]) <= max(max_batch, 4)


def test_patches_of_ties_come_in_raster_order():
    ranks = salient_patches(torch.ones(1, 9, 9), 2, 3)[0]
    assert [(ranks == region).nonzero()[0].tolist() for region in range(3)] == [[0, 0], [0, 2], [0, 4]]


@pytest.mark.parametrize(
    ("size", "patch", "most"), [((1, 1), 1, 1), ((4, 4), 2, 1), ((9, 9), 2, 9), ((5, 4), 2, 2)]
)
def test_as_many_patches_as_always_find_a_place_and_no_more(size, patch, most):
    """Each patch keeps others from 2 p - 1 rows and columns: ceil(H / 2p) ceil(W / 2p) always fit."""
    ranks = salient_patches(torch.rand(6, *size), patch, most)
    assert all(set(range(most)) <= set(one.flatten().tolist()) for one in ranks)
    with pytest.raises(
        ValueError, match=f"^regions must be between 1 and {most} for patches of {patch} pixels"
    ):
        salient_patches(torch.rand(1, *size), patch, most + 1)


@pytest.mark.parametrize("size", [(6, 4), (4, 6)])
def test_a_patch_wider_than_the_map_is_refused(size):
    with pytest.raises(ValueError, match=r"^patch must be between 1 and the map's side, 4, got 5"):
        salient_patches(torch.rand(1, *size), 5, 1)


def channel_mean(images, targets):
    return images.mean(1)


def test_max_sensitivity_matches_a_plain_loop():
    images, maps, targets = inputs()
    maps = channel_mean(images, targets)
    scores = max_sensitivity(channel_mean, images, maps, targets, radius=0.1, samples=4, seed=7)
    generator = torch.Generator().manual_seed(7)
    noises = [0.1 * (2 * torch.rand(images.shape[1:], generator=generator) - 1) for _ in range(4)]
    for index, image in enumerate(images):
        changes = [((image + noise).clamp(0, 1).mean(0) - maps[index]).norm() for noise in noises]
        assert scores[index].item() == pytest.approx((max(changes) / maps[index].norm()).item())
    by_image = max_sensitivity(
        channel_mean, images, maps, targets, radius=0.1, samples=4, seed=7, denominator="image"
    )
    ratio = maps.flatten(1).norm(dim=1) / images.flatten(1).norm(dim=1)
    torch.testing.assert_close(by_image, scores * ratio)


def test_max_sensitivity_is_captums_of_the_same_noise():
    images, _, targets = inputs()
    maps = channel_mean(images, targets)
    generator = torch.Generator().manual_seed(7)
    noises = [0.1 * (2 * torch.rand(images.shape[1:], generator=generator) - 1) for _ in range(4)]

    def perturb(repeated):  # captum asks for all samples of an image, image after image
        noise = torch.stack(noises).repeat(len(images), 1, 1, 1)
        return ((repeated + noise).clamp(0, 1),)

    expected = sensitivity_max(
        lambda given: (channel_mean(given[0], None),),
        images,
        perturb_func=perturb,
        n_perturb_samples=4,
        norm_ord=2,  # of each map's difference, over the same norm of the map
    )
    found = max_sensitivity(channel_mean, images, maps, targets, radius=0.1, samples=4, seed=7)
    torch.testing.assert_close(found, expected)


def test_defaults_are_those_of_the_papers_runs():
    """AOPC: ten patches of 14 x 14. MS: ten samples of noise up to 0.2."""
    images, maps, targets = inputs(1, 112, 84)
    expected = aopc(classifier, images, maps, targets, patch=14, regions=10)
    assert torch.equal(aopc(classifier, images, maps, targets), expected)
    plain = channel_mean(images, targets)
    expected = max_sensitivity(channel_mean, images, plain, targets, radius=0.2, samples=10)
    assert torch.equal(max_sensitivity(channel_mean, images, plain, targets), expected)


def test_max_sensitivity_of_a_constant_method_is_zero():
    images, maps, targets = inputs()
    zeros = torch.zeros_like(maps)

    def constant(pixels, _):
        return maps.repeat(len(pixels) // len(maps), 1, 1)

    def nothing(pixels, _):
        return torch.zeros_like(pixels[:, 0])

    assert (max_sensitivity(constant, images, maps, targets) == 0).all()
    assert (max_sensitivity(nothing, images, zeros, targets) == 0).all()
    assert torch.isinf(max_sensitivity(constant, images, zeros, targets)).all()


@pytest.mark.parametrize(
    ("max_batch", "sizes"), [(None, [30]), (1, [3] * 10), (8, [6] * 5), (14, [12, 12, 6])]
)
def test_noisy_images_are_explained_many_at_once_with_their_own_targets(max_batch, sizes):
    images, _, targets = inputs()
    seen = []

    def weighted(pixels, classes):
        seen.append(len(pixels))
        return pixels.mean(1) * (1 + classes)[:, None, None] / 3

    maps = weighted(images, targets)
    found = max_sensitivity(weighted, images, maps, targets, seed=3, max_batch=max_batch)
    assert seen[1:] == sizes
    torch.testing.assert_close(found, max_sensitivity(weighted, images, maps, targets, seed=3, max_batch=3))


def test_adcc_from_its_parts():
    images, maps, targets = inputs()
    scores = adcc(classifier, channel_mean, images, maps, targets)
    masked = images * maps[:, None]
    for index in range(3):
        second = channel_mean(masked, targets)[index].numpy().ravel()
        coherency = (stats.pearsonr(maps[index].numpy().ravel(), second).statistic + 1) / 2
        complexity = maps[index].abs().mean().item()
        p, o = (target_probability(classifier, x, targets)[index].item() for x in (images, masked))
        parts = coherency, 1 - complexity, 1 - max(0, p - o) / (p + np.finfo(float).eps)
        assert scores["coherency"][index].item() == pytest.approx(100 * coherency)
        assert scores["complexity"][index].item() == pytest.approx(100 * complexity)
        assert scores["ADCC"][index].item() == pytest.approx(100 * stats.hmean(parts))


def test_adcc_takes_the_predicted_class_and_bounds_degenerate_maps():
    images, maps, _ = inputs()
    predicted = classifier(images).argmax(1)
    by_default = adcc(classifier, channel_mean, images, maps)
    torch.testing.assert_close(by_default, adcc(classifier, channel_mean, images, maps, predicted))
    zeros = torch.zeros_like(maps)
    scores = adcc(classifier, channel_mean, images, zeros)
    assert (scores["ADCC"] == 0).all() and (scores["coherency"] == 0).all()


def test_pearson_of_equal_opposite_and_constant_maps():
    maps = torch.rand(2, 4, 5)
    torch.testing.assert_close(pearson(maps, maps), torch.ones(2))
    torch.testing.assert_close(pearson(maps, 1 - maps), -torch.ones(2))
    for value in (0.0, 0.1, 0.3, 0.7, 1.0):  # the mean of 0.1 or 0.7 is another number in float32
        constant, varied = torch.full((2, 35, 35), value), torch.rand(2, 35, 35)
        assert pearson(varied, constant).tolist() == pearson(constant, varied).tolist() == [-1, -1]


def test_pearson_of_large_maps_in_half_precision_does_not_overflow():
    halves = (
        torch.tensor([0.0, 1.0]).half().repeat(1, 1024, 512)
    )  # each norm is 512, their product beyond float16
    assert pearson(halves, halves).item() == 1 and pearson(halves, 1 - halves).item() == -1


def test_a_correlation_stays_in_its_interval_and_of_next_to_nothing_is_none():
    maps = torch.rand(2000, 5, 5, generator=torch.Generator().manual_seed(0))
    assert pearson(maps, maps).max() <= 1 and pearson(maps, 1 - maps).min() >= -1
    assert pearson(1e-30 * maps[:3], 1e-30 * maps[:3]).tolist() == [-1] * 3  # float32 holds no such product


@pytest.mark.parametrize(
    "options", [{"radius": 0.0}, {"samples": 0}, {"denominator": "norm"}, {"max_batch": 0}]
)
def test_bad_options_are_refused(options):
    images, maps, targets = inputs()
    with pytest.raises(ValueError, match=next(iter(options))):
        max_sensitivity(channel_mean, images, maps, targets, **options)


@pytest.mark.parametrize("options", [{"regions": 0}, {"patch": 0}, {"max_batch": 0}])
def test_bad_options_of_aopc_are_refused_before_the_network_runs(options):
    images, maps, targets = inputs()
    with pytest.raises(ValueError, match=next(iter(options))):
        aopc(None, images, maps, targets, **options)
