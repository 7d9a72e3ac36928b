import pytest
import torch

from opticam.masking import channel_masks, saliency_mask, step_masks

FEATURES, LOGITS, IMAGES = torch.rand(2, 5, 3, 3), torch.zeros(2, 5), torch.rand(2, 3, 9, 8)
RANKS = torch.zeros(2, 9, 8, dtype=torch.int64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((FEATURES, torch.zeros(2, 6), IMAGES), ValueError, r"logits_u has shape \(2, 6\).*\(2, 5\)"),
        ((FEATURES, LOGITS, (IMAGES * 255).byte()), TypeError, "images is torch.uint8; accepted: float32"),
        ((FEATURES.long(), LOGITS, IMAGES), TypeError, "features is torch.int64"),
        ((FEATURES, LOGITS.int(), IMAGES), TypeError, "logits_u is torch.int32"),
        ((FEATURES, LOGITS, IMAGES.to("meta")), ValueError, "features is on cpu; accepted: .* meta"),
        ((FEATURES, LOGITS.to("meta"), IMAGES), ValueError, "logits_u is on meta"),
        ((FEATURES[0], LOGITS, IMAGES), ValueError, r"features has shape \(5, 3, 3\)"),
        ((torch.rand(3, 5, 3, 3), LOGITS, IMAGES), ValueError, "features are of 3 images; accepted: 2, or 1"),
        (
            (FEATURES, torch.zeros(3, 5), torch.rand(3, 3, 9, 8)),
            ValueError,
            "features are of 2 images; .*: 3, or 1",
        ),
        ((FEATURES[..., :0], LOGITS, IMAGES), ValueError, "features have shape"),
        ((FEATURES, LOGITS, IMAGES[..., :0]), ValueError, "height and width must be at least 1"),
        ((FEATURES, LOGITS, torch.rand(2, 5, 9, 8)), ValueError, "5 colour channels; accepted: 1 to 4"),
        ((FEATURES, LOGITS, IMAGES[:, :0]), ValueError, "images have 0 colour channels"),
        ((FEATURES[:, :0], LOGITS[:, :0], IMAGES), ValueError, "K, h and w must be at least 1"),
        ((FEATURES, LOGITS, IMAGES, "minmax"), ValueError, "normalization is 'minmax'; accepted: range, max"),
        ((FEATURES.numpy(), LOGITS, IMAGES), TypeError, "features is a ndarray"),
    ],
)
def test_saliency_mask_names_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        saliency_mask(*arguments)


@pytest.mark.parametrize(
    ("channels", "error", "message"),
    [
        ([0, 5], ValueError, "channels must be at least 0 and less than 5"),
        ([-1], ValueError, "at least 0"),
        ([0.5], TypeError, "channels are torch.float32"),
        ([True, False], TypeError, "channels are torch.bool"),
        (torch.zeros(3, 1, dtype=torch.int64), ValueError, r"accepted: \[k\] or \[2,k\]"),
    ],
)
def test_channel_masks_names_what_is_wrong(channels, error, message):
    with pytest.raises(error, match=message):
        channel_masks(FEATURES, IMAGES, channels)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((RANKS, IMAGES.byte(), IMAGES.byte(), [1]), TypeError, "images is torch.uint8"),
        ((RANKS, IMAGES[0], IMAGES[0], [1]), ValueError, r"images has shape \(3, 9, 8\)"),
        ((RANKS.float(), IMAGES, IMAGES, [1]), TypeError, "ranks are torch.float32"),
        ((RANKS > 3, IMAGES, IMAGES, [1]), TypeError, "ranks are torch.bool"),
        ((RANKS.to("meta"), IMAGES, IMAGES, [1]), ValueError, "ranks is on meta"),
        ((RANKS[:, :4], IMAGES, IMAGES, [1]), ValueError, r"ranks have shape \(2, 4, 8\)"),
        ((RANKS, IMAGES, IMAGES.double(), [1]), TypeError, "baseline is torch.float64"),
        ((RANKS, IMAGES, torch.zeros(4), [1]), ValueError, r"baseline has shape \(4,\)"),
        ((RANKS, IMAGES, IMAGES.to("meta"), [1]), ValueError, "baseline is on meta"),
        ((RANKS, IMAGES, IMAGES, [0.5]), TypeError, "steps are torch.float32"),
        ((RANKS, IMAGES, IMAGES, [True]), TypeError, "steps are torch.bool"),
        ((RANKS, IMAGES, IMAGES, 3), ValueError, r"accepted: \[t\]"),
    ],
)
def test_step_masks_names_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        step_masks(*arguments)
