"""Fold batch normalisation into the convolutions before it: the same function in fewer operations."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = {("torch.nn.modules.conv", "Conv2d"), ("timm.layers.conv2d_same", "Conv2dSame")}
_BATCH_NORMS = {("torch.nn.modules.batchnorm", "BatchNorm2d"), ("timm.layers.norm_act", "BatchNormAct2d")}
"""By module and name, so that timm need not be loaded: other subclasses may do more than their base."""


def fold_batch_norms(network: nn.Module, keep: Collection[str] = ()) -> int:
    """Fold every batch norm that follows one convolution into it, in place; returns how many.

    The batch norm becomes an identity, or the activation that timm's has inside, so that its name and its output stay.
    `keep`: names of convolutions whose own output somebody reads, which are left alone. `network` must be in eval
    mode.
    """
    pairs = [pair for pair in convolution_batch_norm_pairs(network) if pair[0] not in keep]
    for convolution, batch_norm in pairs:
        layers: list[Any] = [network.get_submodule(name) for name in (convolution, batch_norm)]
        fused: nn.Module = fuse_conv_bn_eval(*layers)
        network.set_submodule(convolution, fused)
        network.set_submodule(batch_norm, _remainder(layers[1]))
    return len(pairs)


def convolution_batch_norm_pairs(network: nn.Module) -> list[tuple[str, str]]:
    """Names of (convolution, batch norm) where the first's output goes to the second and nowhere else.

    Read off the traced graph; where control flow cannot be traced, off those of the network's parts.
    """
    try:
        graph = _Tracer().trace(network)
    except Exception:  # tracing runs the network's own code on proxies, which can fail in any way
        return [*_neighbours(network), *_pairs_of_parts(network)]
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
    """Those among the children of a Sequential."""
    if type(network) is nn.Sequential:
        for (first, convolution), (second, batch_norm) in pairwise(network.named_children()):
            if _foldable(convolution, batch_norm):
                yield first, second


def _pairs_of_parts(network: nn.Module) -> Iterator[tuple[str, str]]:
    for name, part in network.named_children():
        for first, second in convolution_batch_norm_pairs(part):
            yield f"{name}.{first}", f"{name}.{second}"


def _foldable(convolution: nn.Module, batch_norm: nn.Module) -> bool:
    return (
        _origin(convolution) in _CONVOLUTIONS
        and isinstance(batch_norm, nn.BatchNorm2d)
        and _origin(batch_norm) in _BATCH_NORMS
        and batch_norm.running_mean is not None
        and not torch.nn.utils.parametrize.is_parametrized(convolution)
    )


def _origin(module: nn.Module) -> tuple[str, str]:
    return type(module).__module__, type(module).__qualname__


def _remainder(batch_norm: nn.Module) -> nn.Module:
    """What a batch norm does beside the normalisation: nothing, but for timm's; its parts keep their names."""
    beside = OrderedDict(batch_norm.named_children())
    return nn.Sequential(beside) if beside else nn.Identity()


class _Tracer(fx.Tracer):
    """Looks into no convolution and no batch norm, whosever they are."""

    def is_leaf_module(self, module: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(module, nn.Conv2d | nn.BatchNorm2d) or super().is_leaf_module(
            module, module_qualified_name
        )
