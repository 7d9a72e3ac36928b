"""The gradient in closed form, as devices without a kernel compute it, against autograd of the definition."""

import pytest
import torch
from tolerances import assert_close, masking_sum

from opticam.masking import ops, saliency_mask
from opticam.masking.reference import NORMALIZATIONS


def closed(features, logits_u, images, normalization, of_masked, of_map):
    _, maps, weights, surface = ops.IMPLEMENTATIONS["saliency_mask"](
        features, logits_u, images, normalization
    )
    saved = features, images, maps, weights, surface
    return ops.IMPLEMENTATIONS["saliency_mask_backward"](of_masked, of_map, *saved, normalization)


def by_autograd(features, logits_u, images, normalization, of_masked, of_map):
    u = logits_u.double().requires_grad_()
    masked, maps = saliency_mask(features.double(), u, images.double(), normalization, backend="eager")
    pairs = [(out, g.double()) for out, g in ((masked, of_masked), (maps, of_map)) if g is not None]
    return torch.autograd.grad(sum((out * g).sum() for out, g in pairs), u)[0]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("has_masked", "has_map"), [(True, True), (True, False), (False, True)])
def test_either_gradient_alone_and_both(normalization, dtype, has_masked, has_map):
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 6, 5, 4, generator=generator).to(dtype)
    images = torch.rand(2, 3, 23, 21, generator=generator).to(dtype)
    logits_u = torch.randn(2, 6, generator=generator).to(torch.promote_types(dtype, torch.float32))
    of_masked = torch.randn(images.shape, generator=generator).to(dtype) if has_masked else None
    of_map = torch.randn(2, 23, 21, generator=generator).to(logits_u.dtype) if has_map else None
    arguments = features, logits_u, images, normalization, of_masked, of_map
    assert_close(closed(*arguments), by_autograd(*arguments), masking_sum(features, images))


@pytest.mark.parametrize("normalization", ["range", "max"])
def test_channels_that_cancel_have_no_gradient(normalization):
    ramp = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    features, images = torch.cat([ramp, -ramp], 1), torch.rand(1, 3, 9, 9, dtype=torch.float64)
    zeros = torch.zeros(1, 2, dtype=torch.float64)
    assert torch.equal(closed(features, zeros, images, normalization, torch.ones_like(images), None), zeros)
