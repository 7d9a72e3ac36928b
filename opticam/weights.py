"""The one loader of weights: read a state dictionary without running code from its file, and fit it to a network."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeGuard

import safetensors
import safetensors.torch
import torch
from torch import nn

State = Mapping[str, torch.Tensor]
WRAPPERS = ("state_dict_ema", "model_ema", "ema", "state_dict", "model_state_dict", "model")
"""Keys under which training checkpoints keep the weights; averaged ones first, as libraries evaluate those."""
PREFIXES = ("module.", "model.", "_orig_mod.", "network.", "backbone.")


def load_weights(network: nn.Module, path: str | Path, *, without_head: bool = False) -> None:
    """Load a state dictionary into `network`, strictly and without running code from the file.

    The file may be .safetensors or what `torch.load(weights_only=True)` reads, a checkpoint that keeps the
    weights under a key of `WRAPPERS`, and its names may differ from the network's by a prefix, or altogether where
    order and shapes are equal, but for .safetensors, which keeps no order; a warning says so. As in PyTorch, batch
    norms need no `num_batches_tracked`.
    without_head: the network's last layer may be missing or of another size, and then holds ones: the network is the
    same every time, and its logits still tell whether a faster form computes the same. Raises FileNotFoundError, or
    ValueError where the file is no state dictionary or for another architecture.
    """
    expected = network.state_dict()
    free = _head_keys(network) if without_head else frozenset()
    optional = free | {key for key in expected if key.endswith("num_batches_tracked")}
    state = _named_as(expected, read_state(path), optional, path)
    state = {key: value for key, value in state.items() if key not in free or _fits(value, expected.get(key))}
    missing = sorted(expected.keys() - state.keys() - optional)
    unexpected = sorted(state.keys() - expected.keys())
    shapes = sorted(k for k in expected.keys() & state.keys() if not _fits(state[k], expected[k]))
    if missing or unexpected or shapes:
        example = (missing or unexpected or shapes)[0]
        raise ValueError(
            f"weights: {path} does not fit {type(network).__name__}: {len(missing)} keys missing, "
            f"{len(unexpected)} unexpected, {len(shapes)} of another shape, for example {example!r}"
        )
    absent = {key: torch.ones_like(expected[key]) for key in free - state.keys()}
    network.load_state_dict({**state, **absent})


def read_state(path: str | Path) -> State:
    """Names and tensors in a weights file. Raises FileNotFoundError, or ValueError for a file without them."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = _inside(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights: {path} cannot be read: {_reason(error)}") from None
    except Exception as error:  # pickle.UnpicklingError and friends: whatever a foreign file provokes
        raise ValueError(f"weights: {path} is no state dictionary ({type(error).__name__})") from None
    if state is None:
        raise ValueError(f"weights: {path} holds no state dictionary (names to tensors)")
    return state


def fit_by_order(expected: State, state: State) -> State | None:
    """The tensors of `state` under the names of `expected`, where both have equal shapes in equal order."""
    if [value.shape for value in expected.values()] != [value.shape for value in state.values()]:
        return None
    return dict(zip(expected, state.values()))


def _inside(state: object) -> State | None:
    """The state itself, or that under the first key of `WRAPPERS` that leads to one."""
    if _is_state(state):
        return state
    inner = (_inside(state[key]) for key in WRAPPERS if key in state) if isinstance(state, dict) else ()
    return next((found for found in inner if found is not None), None)


def _is_state(state: object) -> TypeGuard[State]:
    return (
        isinstance(state, dict) and bool(state) and all(isinstance(v, torch.Tensor) for v in state.values())
    )


def _named_as(expected: State, state: State, optional: Collection[str], path: str | Path) -> State:
    """The state under the network's names, where it has them up to a prefix or to order; itself otherwise."""
    if expected.keys() - optional <= state.keys():
        return state
    bare = dict(state)
    while prefix := next((p for p in PREFIXES if bare and all(key.startswith(p) for key in bare)), None):
        bare = {key.removeprefix(prefix): value for key, value in bare.items()}
    if expected.keys() - optional <= bare.keys():
        return _told(bare, path, "their names without a prefix")
    if Path(path).suffix == ".safetensors":
        given, own = (sorted(value.shape for value in tensors.values()) for tensors in (state, expected))
        if given == own:
            raise ValueError(
                f"weights: {path} has other names than the network, as {min(state)!r}, and a .safetensors file keeps "
                "no order by which to tell its tensors apart; rename them, or save them by torch.save"
            )
        return state
    ordered = fit_by_order(expected, state)
    return state if ordered is None else _told(ordered, path, "other names, but equal shapes in equal order")


def _told(state: State, path: str | Path, how: str) -> State:
    warnings.warn(f"weights: {path} is taken by {how}", stacklevel=4)
    return state


def _head_keys(network: nn.Module) -> frozenset[str]:
    """Keys of the last layer with weights, the one that is specific to the classes."""
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    return frozenset(f"{last}.{name}" for name, _ in network.get_submodule(last).named_parameters())


def _fits(value: torch.Tensor, expected: torch.Tensor | None) -> bool:
    return expected is not None and value.shape == expected.shape


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
