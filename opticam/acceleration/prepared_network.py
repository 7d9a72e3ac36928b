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
from opticam.hooks import recording
from opticam.outputs import logits_of

LEVELS = ("exact", "fast", "half")
LOGIT_TOLERANCE = 1e-4
"""Largest change of a logit that "fast" may make, relative to the largest logit of the probe."""
HALF = torch.bfloat16
"""What "half" computes in."""
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
        with torch.autocast(normalised.device.type, HALF):
            logits = self.network(normalised).float()
            return logits


@torch.no_grad()
def prepare(
    network: nn.Module, level: str, probe: torch.Tensor, keep: Collection[str] = ()
) -> PreparedNetwork:
    """A network for `level`, or the network itself where that level is not safe, with the reason.

    network: in eval mode. probe: normalised images on which both must agree. keep: names of layers whose
    output is read. A network with hooks runs itself, because hooks belong to its own modules; so does one whose
    copy runs other modules than its own, as where `forward` was replaced by a function of the original.
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
        candidate = PreparedNetwork(_copy(network, level, keep), level)
        with recording([candidate.network.get_submodule(name) for name in keep]) as records:
            found = logits_of(candidate(probe))
        expected = logits_of(network(probe))
        difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))
    except Exception as error:  # a foreign network can refuse a copy or a dtype in any way
        return PreparedNetwork(network, reason=f"{type(error).__name__}: {error}")
    for name, record in zip(keep, records):
        if not record:
            return PreparedNetwork(network, reason=f"layer {name!r} does not run in a copy")
    allowed = LOGIT_TOLERANCE if level == "fast" else float("inf")
    if not difference <= allowed:
        return PreparedNetwork(network, reason=f"logits change by {difference:.1e} of the largest")
    return PreparedNetwork(candidate.network, level, "", difference)


def has_hooks(network: nn.Module) -> bool:
    """Whether any module of the network carries a forward or backward hook."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind) for module in network.modules() for kind in kinds)


def fingerprint(network: nn.Module, values: bool) -> tuple[object, ...]:
    """Changes when a module, parameter or buffer is replaced, a tensor moved or written to, or a hook comes or goes.

    Other attributes are not read. values: add up every row of every tensor, since writing through `.data` leaves its
    version counter as it is; of what changes places within a row, only the rounding tells. Sums are compared within
    one process, and read from the device together.
    """
    tensors = [tensor for tensor in chain(network.parameters(), network.buffers()) if tensor.numel()]
    places = tuple((tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)
    sums = [_row_sums(tensor.detach()) for tensor in tensors if values and tensor.is_floating_point()]
    # The modules themselves, not their ids, which a later module may get.
    return has_hooks(network), tuple(network.modules()), places, _bytes(sums)


def _row_sums(tensor: torch.Tensor) -> torch.Tensor:
    """At least in float32; `sum(dtype=...)` would be slower by far on the CPU."""
    tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return tensor.sum(tuple(range(1, tensor.dim()))) if tensor.dim() > 1 else tensor.reshape(-1)


def _bytes(tensors: list[torch.Tensor]) -> bytes:
    return torch.cat(tensors).numpy(force=True).tobytes() if tensors else b""


def _copy(network: nn.Module, level: str, keep: Collection[str]) -> nn.Module:
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(prepared, keep)
    if level == "half":
        for module in prepared.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.to(HALF)  # once here instead of by autocast in every pass
    for module in prepared.modules():
        if isinstance(module, _KEEP_THEIR_INPUT):
            module.inplace = False
    prepared.to(memory_format=torch.channels_last)
    pack_convolutions(prepared)
    pool_in_layout(prepared)
    return prepared
