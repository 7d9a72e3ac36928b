"""Fold batch normalisation into the convolutions before it: the same function in fewer operations."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = {("torch.nn.modules.conv", "Conv2d"), ("timm.layers.conv2d_same", "Conv2dSame")}
_BATCH_NORMS = {("torch.nn.modules.batchnorm", "BatchNorm2d"), ("timm.layers.norm_act", "BatchNormAct2d")}
"""By module and name, so that timm need not be loaded: other subclasses may do more than their base."""
_TRACING = threading.RLock()
"""Held during a trace, which puts its own code into `nn.Module` itself."""


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

    Read off the traced graph. In a module whose own code cannot be traced, as where it branches on pixels, none are
    found: it may run its parts in other ways than a trace or one picture shows.
    """
    tracer = _Tracer()
    called = nn.Sequential(network)  # as it is called in use: with images alone
    try:
        graph = tracer.trace(called)
    except Exception:  # where it puts out something of a class of its own
        return []
    modules = {name: module for name, module in called.named_modules() if module not in tracer.untraced}
    return [(first[2:], second[2:]) for first, second in _traced_pairs(graph, modules)]


def _traced_pairs(graph: fx.Graph, modules: dict[str, nn.Module]) -> Iterator[tuple[str, str]]:
    calls = Counter(node.target for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        if node.op != "call_module" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        before = node.args[0]
        if before.op != "call_module" or len(before.users) != 1:
            continue
        first, second = str(before.target), str(node.target)
        once = calls[second] == calls[first] == 1 and {first, second} <= modules.keys()
        if once and _foldable(modules[first], modules[second]):
            yield first, second


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
    """Looks into no convolution and no batch norm, whosever they are, nor into modules that cannot be traced.

    untraced: those, and the modules below them. PyTorch's own tracer takes its DataParallel for a layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.untraced: set[nn.Module] = set()

    def trace(self, root: Any, concrete_args: dict[str, Any] | None = None) -> fx.Graph:
        """One at a time; the networks that other threads run meanwhile pass through it as they are."""
        with _TRACING:
            self._thread = threading.get_ident()
            return super().trace(root, concrete_args)

    def is_leaf_module(self, module: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            return True
        return not isinstance(module, nn.DataParallel) and super().is_leaf_module(
            module, module_qualified_name
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        if threading.get_ident() != self._thread:
            return forward(*args, **kwargs)
        depth = len(self.module_stack)
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception:  # its own code on proxies, which can fail in any way
            self.untraced.update(m.modules())
            while len(self.module_stack) > depth:
                self.module_stack.popitem()
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)
