"""Read, or replace, what a layer puts out during a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only


@contextmanager
def recording(
    layers: Sequence[nn.Module], differentiable: bool = False
) -> Iterator[list[list[torch.Tensor]]]:
    """Collect the outputs of each layer during the forward passes inside: one list per layer.

    An output may be any nest of tuples, lists and dictionaries of tensors.
    differentiable: the record becomes a leaf from which the layers behind it can be differentiated. The hooks
    are removed at the end, also after an exception.
    """
    records: list[list[torch.Tensor]] = [[] for _ in layers]

    def hook(record: list[torch.Tensor]) -> Callable:
        def keep(module: nn.Module, inputs: tuple, output: Any) -> Any:
            record.append(_detached(output, differentiable))
            # The copy protects the record from an in-place ReLU behind the layer.
            return tree_map_only(torch.Tensor, torch.clone, record[-1])

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

    def put(module: nn.Module, inputs: tuple, output: Any) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise ValueError(
                f"target_layer: puts out a {type(output).__name__}, which cannot be replaced; expected a tensor"
            )
        return edit(output)

    handle = layer.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def _detached(output: Any, differentiable: bool) -> Any:
    """The output with its tensors cut off from what made them; floating ones can be differentiated anew."""
    return tree_map_only(
        torch.Tensor,
        lambda tensor: tensor.detach().requires_grad_(differentiable and tensor.is_floating_point()),
        output,
    )


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
