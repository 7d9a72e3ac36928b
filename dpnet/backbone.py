"""A frozen backbone by name, from a file that may hold the trunk alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from opticam.classifier import Classifier
from opticam.networks import build_network, pixel_statistics


def load_backbone(
    name: str,
    weights: str | Path | None = "default",
    *,
    target_layer: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """A torchvision or timm network as a frozen backbone; like `Classifier.from_name`, but needs no head.

    The weights file may lack the final linear layer, or hold one for another number of classes: DP-Net reads
    feature maps only, and such a head is left at random. Any other difference raises ValueError, a missing
    file FileNotFoundError.
    """
    if weights in (None, "default"):
        return Classifier.from_name(name, weights, target_layer=target_layer, mean=mean, std=std)
    network = build_network(name, None)
    _load_trunk(network, Path(weights))
    library_mean, library_std = pixel_statistics(name)
    return Classifier(network, target_layer, mean=mean or library_mean, std=std or library_std)


def _load_trunk(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"weights: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"weights: {path} cannot be read: {str(error).splitlines()[0]}") from None
    expected = network.state_dict()
    head = _head_keys(network)
    state = {key: value for key, value in state.items() if key not in head or _fits(value, expected[key])}
    wrong = [
        key for key in expected.keys() - head if key not in state or not _fits(state[key], expected[key])
    ]
    unexpected = state.keys() - expected.keys()
    if wrong or unexpected:
        example = min(wrong or unexpected)
        raise ValueError(f"weights: {path} does not fit {type(network).__name__}, for example {example!r}")
    network.load_state_dict(state, strict=False)


def _head_keys(network: nn.Module) -> set[str]:
    """Keys of the last layer with weights, the one that is specific to the classes."""
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    return {f"{last}.{name}" for name, _ in network.get_submodule(last).named_parameters()}


def _fits(value: object, expected: torch.Tensor) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == expected.shape
