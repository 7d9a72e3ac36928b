"""Read, or replace, what a layer puts out during a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map_only


@contextmanager
def recording(
    layers: Sequence[nn.Module], differentiable: bool = False, call: int | None = None
) -> Iterator[list[list[torch.Tensor]]]:
    """Collect the outputs of each layer during the forward passes inside: one list per layer.

    An output may be any nest of tuples, lists and dictionaries of tensors.
    differentiable: the record becomes a leaf from which the layers behind it can be differentiated; where a layer
    runs several times and `call` counts from the first, only that run's does. The hooks are removed at the end, also
    after an exception.
    """
    records: list[list[torch.Tensor]] = [[] for _ in layers]

    def hook(record: list[torch.Tensor]) -> Callable[..., Any]:
        def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            if differentiable and call is not None and call >= 0 and len(record) != call:
                record.append(output)  # what comes before or behind the leaf stays as it is
                return None
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
def replacing(
    layer: nn.Module, edit: Callable[[torch.Tensor], torch.Tensor], call: int | None = None
) -> Iterator[None]:
    """Put `edit(output)` in place of the layer's output during the forward pass inside.

    call: in which of the layer's runs, counted from 0; None for every one.
    """
    runs = count()

    def put(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if next(runs) != call and call is not None:
            return output
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


def only_output(record: list[torch.Tensor], call: int | None = None) -> torch.Tensor:
    """The one output of a record, or that of a layer's run number `call`, -1 being the last.

    Raises ValueError for a layer that did not run, or ran more than once where no `call` says which is meant.
    """
    if call is None and len(record) > 1:
        raise ValueError(
            f"target_layer: ran {len(record)} times in one forward pass, expected once; say which run is meant with "
            "Classifier(call=...), -1 for the last"
        )
    index = 0 if call is None else call
    if not -len(record) <= index < len(record):
        raise ValueError(
            f"call: the target layer ran {len(record)} times in one forward pass; there is no run {index}"
        )
    return record[index]


@contextmanager
def recording_calls(
    modules: Sequence[nn.Module],
) -> Iterator[dict[nn.Module, tuple[torch.Tensor, torch.Tensor]]]:
    """Keep first input and output of each module's last call inside, both detached."""
    calls: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        calls[module] = (inputs[0].detach(), output.detach())

    handles = [module.register_forward_hook(keep) for module in modules]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
