import pytest
import torch

from opticam.masking import normalize_map, saliency_mask, upsample_and_normalize, upsample_map
from opticam.masking.reference import NORMALIZATIONS


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_equals_the_formulas(shape, inputs, definition, normalization):
    features, logits_u, images = (t.double() for t in inputs(shape))
    masked, saliency_map = saliency_mask(features, logits_u, images, normalization, backend="eager")
    expected_masked, expected_map = definition(features, logits_u, images, normalization)
    torch.testing.assert_close(saliency_map, expected_map, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(masked, expected_masked, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("backend", ["eager", "auto"])
def test_gradient_by_differences(normalization, backend):
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 6, 3, 4, dtype=torch.float64, generator=generator)
    images = torch.rand(2, 3, 11, 9, dtype=torch.float64, generator=generator)
    logits_u = torch.randn(2, 6, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda u: saliency_mask(features, u, images, normalization, backend), (logits_u,)
    )


def test_two_pixels_by_hand():
    # Cells 0 and 4 on four pixels lie at 0, 1, 3, 4; normalised 0, 1/4, 3/4, 1.
    upsampled = upsample_map(torch.tensor([[[0.0, 4.0]]]), (1, 4))
    assert upsampled.tolist() == [[[0.0, 1.0, 3.0, 4.0]]]
    assert normalize_map(upsampled).tolist() == [[[0.0, 0.25, 0.75, 1.0]]]


def test_maximum_of_zero_gives_zeros_under_max():
    assert normalize_map(torch.zeros(2, 3, 3), "max").tolist() == torch.zeros(2, 3, 3).tolist()


def test_upsample_and_normalize_is_differentiable_and_float32():
    maps = torch.rand(2, 3, 5).bfloat16().requires_grad_()
    out = upsample_and_normalize(maps, (9, 10))
    out.square().sum().backward()
    assert out.dtype == torch.float32
    assert out.amin(dim=(1, 2)).tolist() == [0, 0]
    assert out.amax(dim=(1, 2)).tolist() == [1, 1]
    assert maps.grad.abs().sum() > 0


@pytest.mark.parametrize("wide", [(True, False, False), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("backend", ["eager", "auto"])
def test_sums_are_as_wide_as_features_or_logits_and_masks_keep_the_images_dtype(wide, backend):
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(shape, generator=generator) for shape in ((2, 6, 5, 4), (2, 6), (2, 3, 9, 8))]
    features, logits_u, images = (one.double() if way else one for one, way in zip(given, wide))
    masked, maps = saliency_mask(features, logits_u, images, backend=backend)
    assert masked.dtype == images.dtype
    assert maps.dtype == (torch.float64 if wide[0] or wide[1] else torch.float32)
    exact = saliency_mask(*(one.double() for one in given), backend="eager")[1]
    torch.testing.assert_close(
        maps.double(), exact, rtol=0, atol=1e-12 if maps.dtype == torch.float64 else 1e-5
    )
