"""Scaled dot product attention in the open: what it records, and what it refuses."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from opticam.vit.attention import Attention, recording_attention

HEADS = torch.rand(1, 2, 4, 3, generator=torch.Generator().manual_seed(0))


class SelfAttention(nn.Module):
    """One call of scaled dot product attention, in a layer with the parts that timm's have."""

    def __init__(self, **options):
        super().__init__()
        self.qkv, self.proj, self.num_heads, self.scale = nn.Identity(), nn.Identity(), 2, 3**-0.5
        self.options = options

    def forward(self, heads):
        return F.scaled_dot_product_attention(heads, heads, heads, **self.options)


OTHERS = {
    "is_causal": True,
    "attn_mask": torch.ones(4, 4, dtype=torch.bool),
    "dropout_p": 0.5,
    "enable_gqa": True,
}


@pytest.mark.parametrize("option", OTHERS)
def test_other_attention_than_plain_is_refused(option):
    layer = SelfAttention(**{option: OTHERS[option]})
    with pytest.raises(ValueError, match="only plain self-attention"), recording_attention(layer):
        layer(HEADS)


def test_a_scale_of_its_own_is_kept():
    layer = SelfAttention(scale=0.3)
    with recording_attention(layer) as records:
        found = layer(HEADS)
    torch.testing.assert_close(found, layer(HEADS))
    torch.testing.assert_close(records[0].probabilities, (0.3 * HEADS @ HEADS.mT).softmax(-1))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_heads_are_averaged_in_float32(dtype):
    probabilities = torch.rand(1, 7, 4, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = Attention(*[probabilities] * 4).mean_over_heads()
    torch.testing.assert_close(found, probabilities.double().mean(1).float())
