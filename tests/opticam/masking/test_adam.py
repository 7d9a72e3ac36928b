import pytest
import torch

from opticam.masking import MaskOptimizer, saliency_mask


def loss(masked):
    return (masked - 0.3).abs().pow(1.5).sum()


@pytest.mark.parametrize("normalization", ["range", "sigmoid"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_follows_torchs_adam(dtype, normalization):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 20, 5, 4, generator=generator, dtype=dtype)
    images = torch.rand(2, 3, 23, 21, generator=generator, dtype=dtype)
    logits_u = torch.zeros(2, 20, dtype=dtype, requires_grad=True)
    peer = torch.optim.Adam([logits_u], lr=0.1)
    ours = MaskOptimizer(features, images, normalization)
    for _ in range(30):
        masked, _ = saliency_mask(features, logits_u, images, normalization, backend="eager")
        peer.zero_grad()
        loss(masked).backward()
        peer.step()
        masked = ours.mask()
        ours.step(torch.autograd.grad(loss(masked), masked)[0])
    # Adam divides by the gradient's size: where that is small its rounding moves a logit by a share of the rate.
    share = 1e-9 if dtype == torch.float64 else 0.02
    torch.testing.assert_close(ours.logits_u, logits_u.detach(), atol=0.1 * share, rtol=0)
    _, expected = saliency_mask(features, ours.logits_u, images, normalization)
    ours.mask()
    assert torch.equal(ours.saliency_map, expected)


def test_first_step_moves_every_logit_by_the_rate():
    # Adam's first step is rate * g / (|g| + epsilon): the sign of the gradient times the rate.
    features, images = torch.randn(1, 30, 5, 4), torch.rand(1, 3, 23, 21)
    optimizer = MaskOptimizer(features, images, rate=0.25)
    masked = optimizer.mask()
    optimizer.step(torch.autograd.grad(loss(masked), masked)[0])
    torch.testing.assert_close(optimizer.logits_u.abs(), torch.full((1, 30), 0.25), atol=1e-4, rtol=0)


def test_bad_features_are_named():
    with pytest.raises(ValueError, match="features have shape"):
        MaskOptimizer(torch.rand(2, 0, 3, 3), torch.rand(2, 3, 9, 9))


@pytest.mark.parametrize("shape", [(1, 3, 9, 9), (2, 1, 9, 9), (2, 3, 9, 8), (2, 3, 81), ()])
def test_a_gradient_of_another_shape_is_named_and_changes_nothing(shape):
    optimizer = MaskOptimizer(torch.rand(2, 4, 3, 3), torch.rand(2, 3, 9, 9))
    optimizer.mask()
    with pytest.raises(ValueError, match=r"grad_masked has shape .*; accepted: the images' \(2, 3, 9, 9\)"):
        optimizer.step(torch.ones(shape))
    assert optimizer.logits_u.count_nonzero() == 0 and optimizer.iteration == 0


def test_masked_images_are_a_leaf_whatever_features_and_images_require():
    features, images = torch.rand(2, 4, 3, 3).requires_grad_(), torch.rand(2, 3, 9, 9).requires_grad_()
    optimizer = MaskOptimizer(features, images)
    masked = optimizer.mask()
    assert masked.is_leaf and masked.requires_grad and not optimizer.saliency_map.requires_grad
    loss(masked).backward()
    assert images.grad is None and features.grad is None
    optimizer.step(masked.grad)


def test_a_gradient_of_another_dtype_is_named_and_changes_nothing():
    optimizer = MaskOptimizer(torch.rand(2, 4, 3, 3), torch.rand(2, 3, 9, 9))
    optimizer.mask()
    with pytest.raises(TypeError, match=r"grad_masked is torch.float64; accepted: the images' torch.float32"):
        optimizer.step(torch.ones(2, 3, 9, 9, dtype=torch.float64))
    assert optimizer.logits_u.count_nonzero() == 0 and optimizer.iteration == 0
