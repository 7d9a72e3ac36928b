"""Record the attention of a transformer, whichever library built it, while it runs unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from opticam.outputs import inner_network
from opticam.vit.blocks import is_attention, stated_blocks
from opticam.vit.tokens import leading_tokens


@dataclass(frozen=True)
class Attention:
    """One self-attention: queries, keys, values [B,h,N,d] and probabilities [B,h,N,N], part of the graph."""

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    probabilities: torch.Tensor

    def mean_over_heads(self) -> torch.Tensor:
        """Probabilities [B,N,N], at least float32."""
        dtype = torch.promote_types(self.probabilities.dtype, torch.float32)
        return self.probabilities.to(dtype).mean(1)


@contextmanager
def recording_attention(network: nn.Module) -> Iterator[list[Attention]]:
    """The attention of the forward passes inside, one record a layer and pass, in order.

    Meanwhile PyTorch's scaled dot product attention, through which torchvision's and timm's layers go, is
    computed step by step, and the layers are kept from their other shortcuts. This holds for the whole
    process: run no other attention in another thread. Raises ValueError unless every attention that ran was seen:
    nn.MultiheadAttention that is asked for its weights, say, takes another way.
    """
    records: list[Attention] = []
    ran: list[nn.Module] = []
    attentions = [module for module in network.modules() if is_attention(module)]
    hooks = [module.register_forward_hook(lambda module, *call: ran.append(module)) for module in attentions]
    fused: dict[Any, Any] = {
        module: module.fused_attn for module in network.modules() if hasattr(module, "fused_attn")
    }
    shortcut, original = torch.backends.mha.get_fastpath_enabled(), F.scaled_dot_product_attention
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        F.scaled_dot_product_attention = _open_attention(records)
        for module in fused:
            module.fused_attn = True  # timm's name for calling scaled_dot_product_attention
        yield records
    finally:
        torch.backends.mha.set_fastpath_enabled(shortcut)
        F.scaled_dot_product_attention = original
        for module, value in fused.items():
            module.fused_attn = value
        for hook in hooks:
            hook.remove()
    if len(records) != len(ran):
        raise ValueError(
            f"classifier: {len(records)} attentions could be read of {type(network).__name__}, where {len(ran)} ran; "
            "only those through scaled_dot_product_attention can"
        )


def check_blocks(records: list[Attention], network: nn.Module) -> None:
    """Raise ValueError unless there is one record for each block of a network that has a list of blocks."""
    blocks = stated_blocks(network)
    if blocks is not None and len(records) != blocks:
        raise ValueError(
            f"classifier: {len(records)} attentions were read of the {blocks} blocks of "
            f"{type(inner_network(network)).__name__}, expected one of each"
        )


def check_tokens(records: list[Attention], network: nn.Module, images: torch.Tensor) -> None:
    """Raise ValueError unless there are records, all of the same tokens [B,h,N,N]: a class token, then patches.

    images: those [B,C,H,W] that ran, whose patches they are.
    """
    name = type(inner_network(network)).__name__
    if not records:
        raise ValueError(f"classifier: no attention could be read from this {name}")
    tokens, size = records[0].probabilities.shape[-1], (images.shape[-2], images.shape[-1])
    for found in (record.probabilities.shape for record in records):
        if len(found) != 4 or (found[0], *found[2:]) != (len(images), tokens, tokens):
            raise ValueError(
                f"classifier: not every attention of {name} is of all tokens to the same tokens: one has shape "
                f"{tuple(found)}, where [{len(images)}, heads, {tokens}, {tokens}] was expected"
            )
    if not leading_tokens(tokens, network, size):
        raise ValueError(
            f"classifier: the {tokens} tokens that attend in {name} have no class token among them"
        )


def _open_attention(records: list[Attention]) -> Callable[..., torch.Tensor]:
    """A scaled dot product attention that keeps what it computes."""

    def attend(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        **options: Any,
    ) -> torch.Tensor:
        if attn_mask is not None or dropout_p or is_causal or any(options.values()):
            raise ValueError(
                "classifier: only plain self-attention, without mask or dropout, can be recorded"
            )
        products = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
        probabilities = products.softmax(-1)
        records.append(Attention(query, key, value, probabilities))
        return probabilities @ value

    return attend
