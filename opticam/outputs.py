"""What a foreign network may put out, and what it may be: checked before it is used."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import tree_flatten, tree_unflatten

_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_REGISTRY = threading.Lock()


def check_network(network: object) -> None:
    """Raise TypeError for what is no module, or one whose layers can be neither read nor differentiated."""
    if not isinstance(network, nn.Module):
        raise TypeError(f"network: expected a torch module, got {type(network).__name__}")
    if any(isinstance(module, torch.jit.ScriptModule) for module in network.modules()):
        raise TypeError(
            "network: is scripted or traced, so its layers cannot be read; give the module it was made of"
        )
    if any("quantized" in type(module).__module__ for module in network.modules()):
        raise TypeError(
            "network: is quantised to integers, which cannot be differentiated; give the float network"
        )


def uncompiled(network: nn.Module) -> nn.Module:
    """The network that `torch.compile` was given, whose layers can be read: compiled code sees no new hook."""
    original: nn.Module = getattr(network, "_orig_mod", network)
    return original


def inner_network(network: nn.Module) -> nn.Module:
    """The network inside wrappers such as DataParallel, a user's class, or a Sequential of a normalisation and it.

    A wrapper has no parameters of its own and one child that has any; a Sequential also ends with that child, which
    has children itself. Lists of layers are parts of a network, not the network inside.
    """
    children = [child for child in network.children() if next(child.parameters(), None) is not None]
    own = next(network.parameters(recurse=False), None)
    if own is not None or len(children) != 1 or isinstance(network, nn.ModuleList):
        return network
    inner = inner_network(children[0])
    if isinstance(network, nn.Sequential):  # what follows it may make the logits
        last = children[0] is network[-1] and next(inner.children(), None) is not None
        return inner if last else network
    return network if isinstance(inner, nn.Sequential | nn.ModuleList) else inner


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Eval mode, no parameter gradients and no code of `module.compile()` inside; outside all as it was.

    Every module has its own mode again. A network in training goes through its own `eval` and `train`, which may do
    more, such as forget what was kept in eval mode.
    """
    modes = {module: module.training for module in network.modules()}
    training = any(modes.values())
    learned = [p for p in network.parameters() if p.requires_grad and not is_lazy(p)]
    compiled = {module: code for module in network.modules() if (code := module._compiled_call_impl)}
    try:
        for parameter in learned:
            parameter.requires_grad_(False)
        if training:
            network.eval()
            for module in network.modules():
                module.training = False  # also where its own `eval` does something else
        for module in compiled:
            module._compiled_call_impl = None
        yield
    finally:
        for module, code in compiled.items():
            module._compiled_call_impl = code
        if training:
            network.train()
            for module, mode in modes.items():
                module.training = mode
        for parameter in learned:
            parameter.requires_grad_(True)


def logits_of(output: Any) -> torch.Tensor:
    """The logits in what a network returns: a tensor, a mapping with "logits", or an object with `.logits`.

    Raises TypeError for anything else, saying what came.
    """
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if isinstance(found, torch.Tensor):
        return found
    raise TypeError(
        f"network: expected logits [B,C], or something with .logits, got {type(output).__name__}; wrap the network in "
        "a module that returns the logits"
    )


def channels_first(output: torch.Tensor, image_size: tuple[int, int]) -> torch.Tensor:
    """A layer's output as [B,K,h,w], which some transformers (Swin) put out as [B,h,w,K].

    Taken for channels last only where the last two sizes are no grid of the image's shape and the first two are.
    """
    first, middle, last = output.shape[1:]
    if not is_grid(middle, last, image_size) and is_grid(first, middle, image_size):
        return output.permute(0, 3, 1, 2)
    return output


def as_maps(output: Any, images: int) -> torch.Tensor:
    """A layer's output where it is [B,K,h,w] of so many images; otherwise ValueError, saying what came."""
    advice = "give Classifier(reshape=...) a function from it to [B,K,h,w]"
    if not isinstance(output, torch.Tensor):
        raise ValueError(f"target_layer: puts out a {type(output).__name__}; {advice}")
    if output.dim() != 4:
        raise ValueError(
            f"target_layer: its output has shape {tuple(output.shape)}; expected [B,K,h,w] or tokens [B,N,K]; {advice}"
        )
    if len(output) != images:
        raise ValueError(
            f"target_layer: puts out {len(output)} maps for a batch of {images}, as a layer on windows or heads does; "
            f"name another layer, or {advice}"
        )
    return output


def is_grid(rows: int, columns: int, image_size: tuple[int, int]) -> bool:
    """Whether so many cells lie on the image in squares, to less than one cell."""
    height, width = image_size
    return rows <= height and columns <= width and abs(rows * width - columns * height) < max(height, width)


def gradient_of(value: torch.Tensor, output: Any) -> Any:
    """The gradient of a number in a layer's output, of the same build as the output."""
    leaves, build = tree_flatten(output)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor) and leaf.requires_grad]
    found = torch.autograd.grad(value, [leaves[i] for i in places], allow_unused=True, materialize_grads=True)
    for place, gradient in zip(places, found):
        leaves[place] = gradient
    return tree_unflatten(leaves, build)


def lock_of(network: nn.Module) -> threading.RLock:
    """The lock of a network, one for all classifiers that share it."""
    with _REGISTRY:
        return _LOCKS.setdefault(network, threading.RLock())
