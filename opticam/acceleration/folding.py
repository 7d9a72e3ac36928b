"""Fold batch normalisation into the convolutions before it: the same function in fewer operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(network: nn.Module, keep: Collection[str] = ()) -> int:
    """Fold every batch norm that follows one convolution into it, in place; returns how many.

    The batch norm becomes an identity, so its name and its output stay. `keep`: names of convolutions whose
    own output somebody reads, which are left alone. `network` must be in eval mode.
    """
    pairs = [pair for pair in convolution_batch_norm_pairs(network) if pair[0] not in keep]
    for convolution, batch_norm in pairs:
        layers: list[Any] = [network.get_submodule(name) for name in (convolution, batch_norm)]
        fused: nn.Module = fuse_conv_bn_eval(*layers)
        network.set_submodule(convolution, fused)
        network.set_submodule(batch_norm, nn.Identity())
    return len(pairs)


def convolution_batch_norm_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm) where the first's output goes to the second and nowhere else.

    Read off the traced graph; for networks whose control flow cannot be traced, neighbours in Sequentials.
    """
    try:
        graph = fx.Tracer().trace(network)
    except Exception:  # tracing runs the network's own code on proxies, which can fail in any way
        return list(_neighbours(network))
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    return list(_traced_pairs(graph, dict(network.named_modules()), calls))


def _traced_pairs(
    graph: fx.Graph, modules: dict[str, nn.Module], calls: Counter[str]
) -> Iterator[tuple[str, str]]:
    for node in graph.nodes:
        if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        before = node.args[0]
        if before.op != "call_module" or len(before.users) != 1:
            continue
        first, second = str(before.target), str(node.target)
        once = calls[second] == calls[first] == 1
        if once and _foldable(modules[first], modules[second]):
            yield first, second


def _neighbours(network: nn.Module) -> Iterator[tuple[str, str]]:
    for name, module in network.named_modules():
        if type(module) is not nn.Sequential:
            continue
        children = list(module.named_children())
        for (first, convolution), (second, batch_norm) in pairwise(children):
            if _foldable(convolution, batch_norm):
                prefix = f"{name}." if name else ""
                yield prefix + first, prefix + second


def _foldable(convolution: nn.Module, batch_norm: nn.Module) -> bool:
    # Subclasses may do more than their base, such as timm's batch norm with an activation inside.
    return (
        type(convolution) is nn.Conv2d
        and type(batch_norm) is nn.BatchNorm2d
        and batch_norm.running_mean is not None
        and not torch.nn.utils.parametrize.is_parametrized(convolution)
    )
