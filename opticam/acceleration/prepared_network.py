"""Faster copies of a frozen network, each checked against the network it stands for."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn

from opticam.acceleration.convolutions import pack_convolutions
from opticam.acceleration.folding import fold_batch_norms
from opticam.acceleration.global_pooling import pool_in_layout
from opticam.outputs import logits_of

LEVELS = ("exact", "fast", "half")
LOGIT_TOLERANCE = 1e-4
"""Largest change of a logit that "fast" may make, relative to the largest logit of the probe."""
_KEEP_THEIR_INPUT = (nn.Hardtanh, nn.Hardswish, nn.SiLU, nn.Mish)
"""Activations whose gradient reads their input: in place they copy it first, which costs more than a new output."""


@dataclass(frozen=True)
class PreparedNetwork:
    """What runs in place of the user's network, and why.

    level: the level in effect. reason: why it is not the level asked for, or "". difference: largest change
    of a logit on the probe images, relative to their largest logit.
    """

    network: nn.Module
    level: str = "exact"
    reason: str = ""
    difference: float = 0.0
    half_dtype: torch.dtype = torch.bfloat16

    def __call__(self, normalised: torch.Tensor) -> torch.Tensor:
        """Logits of normalised images; "half" returns them as float32."""
        logits: torch.Tensor
        if self.level == "exact":
            logits = self.network(normalised)
            return logits
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        if self.level == "fast":
            logits = self.network(normalised)
            return logits
        with torch.autocast(normalised.device.type, self.half_dtype):
            logits = self.network(normalised).float()
            return logits


@torch.no_grad()
def prepare(
    network: nn.Module,
    level: str,
    probe: torch.Tensor,
    keep: Collection[str] = (),
    half_dtype: torch.dtype = torch.bfloat16,
) -> PreparedNetwork:
    """A network for `level`, or the network itself where that level is not safe, with the reason.

    network: in eval mode. probe: normalised images on which both must agree. keep: names of layers whose
    output is read. A network with hooks runs itself, because hooks belong to its own modules.
    """
    if level == "exact":
        return PreparedNetwork(network)
    if level == "fast" and probe.is_cuda:
        return PreparedNetwork(network, reason="on a GPU it gains nothing")
    if level == "fast" and sum(isinstance(module, nn.Conv2d) for module in network.modules()) < 2:
        return PreparedNetwork(network, reason="there are no convolutions to gain from")
    if has_hooks(network):
        return PreparedNetwork(network, reason="the network carries hooks")
    try:
        candidate = PreparedNetwork(_copy(network, level, keep, half_dtype), level, half_dtype=half_dtype)
        expected, found = logits_of(network(probe)), logits_of(candidate(probe))
    except Exception as error:  # a foreign network can refuse a copy or a dtype in any way
        return PreparedNetwork(network, reason=f"{type(error).__name__}: {error}")
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    allowed = LOGIT_TOLERANCE if level == "fast" else float("inf")
    if not difference <= allowed:
        return PreparedNetwork(network, reason=f"logits change by {difference:.1e} of the largest")
    return PreparedNetwork(candidate.network, level, "", difference, half_dtype)


def has_hooks(network: nn.Module) -> bool:
    """Whether any module of the network carries a forward or backward hook."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for module in network.modules() for kind in kinds)


def fingerprint(network: nn.Module) -> tuple[object, ...]:
    """Changes when a parameter or buffer is replaced, moved or written to, or a hook comes or goes.

    Reads where each tensor lies, its version counter, and its first values, since writing through `.data`
    leaves the counter as it is.
    """
    tensors = [tensor for tensor in chain(network.parameters(), network.buffers()) if tensor.numel()]
    places = tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
    first = [tensor.detach().reshape(-1)[:4].float() for tensor in tensors if tensor.is_floating_point()]
    values = tuple(torch.cat(first).tolist()) if first else ()
    return has_hooks(network), places, values


def _copy(network: nn.Module, level: str, keep: Collection[str], half_dtype: torch.dtype) -> nn.Module:
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(prepared, keep)
    if level == "half":
        for module in prepared.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(half_dtype)  # once here instead of by autocast in every pass
    for module in prepared.modules():
        if isinstance(module, _KEEP_THEIR_INPUT):
            module.inplace = False
    prepared.to(memory_format=torch.channels_last)
    pack_convolutions(prepared)
    pool_in_layout(prepared)
    return prepared
