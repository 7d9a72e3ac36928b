"""Read, or replace, what a layer puts out during a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def recording(
    layers: Sequence[nn.Module], differentiable: bool = False
) -> Iterator[list[list[torch.Tensor]]]:
    """Collect the outputs of each layer during the forward passes inside: one list a layer.

    differentiable: the record becomes a leaf from which the layers behind it can be differentiated. The hooks
    are removed at the end, also after an exception.
    """
    records: list[list[torch.Tensor]] = [[] for _ in layers]

    def hook(record: list[torch.Tensor]) -> Callable:
        def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
            record.append(output.detach().requires_grad_(differentiable))
            # The copy protects the record from an in-place ReLU behind the layer.
            return record[-1].clone()

        return keep

    handles = [layer.register_forward_hook(hook(record)) for layer, record in zip(layers, records)]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replacing(layer: nn.Module, edit: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """Put `edit(output)` in place of the layer's output during the forward passes inside."""
    handle = layer.register_forward_hook(lambda module, inputs, output: edit(output))
    try:
        yield
    finally:
        handle.remove()


def only_output(record: list[torch.Tensor]) -> torch.Tensor:
    """The one output of a record; ValueError for a layer that did not run, or ran more than once."""
    if len(record) != 1:
        raise ValueError(f"target_layer: ran {len(record)} times in one forward pass, expected once")
    return record[0]


@contextmanager
def recording_calls(
    modules: Sequence[nn.Module],
) -> Iterator[dict[nn.Module, tuple[torch.Tensor, torch.Tensor]]]:
    """Keep first input and output of each module's last call inside, both detached."""
    calls: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        calls[module] = (inputs[0].detach(), output.detach())

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
