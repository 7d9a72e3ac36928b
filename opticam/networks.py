"""Build a torchvision or timm classifier by name, with weights from a file or from the library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opticam.bundled import BUNDLED
from opticam.last_map import stated_size
from opticam.outputs import inner_network
from opticam.weights import load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_network(
    name: str,
    weights: str | Path | None = None,
    num_classes: int | None = None,
    *,
    without_head: bool = False,
) -> nn.Module:
    """The classifier called `name`: one of `BUNDLED`, torchvision's, or timm's where torchvision has none.

    weights: path of a state dictionary (.safetensors, or a file that `torch.load(weights_only=True)` reads),
    "default" for the library's own pretrained weights (downloaded by the library), the name of one of
    torchvision's ("IMAGENET1K_V1"), None for random weights.
    num_classes: size of the last layer, 1 or more; the library's default (1000) where None.
    without_head: the file's last layer may be missing or of another size, as in `load_weights`.
    name may also be "package.module:function", a function of the user's that returns the network.
    torchvision's networks that say so take pixels of torchvision's statistics to those they were trained with
    (`transform_input`), with a file as with the library's weights.
    Raises ValueError for an unknown name, no classes or weights of another architecture, FileNotFoundError for no file.
    """
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes: must be 1 or more, got {num_classes}")
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    own = weights if weights is None or _is_librarys(name, weights) else None
    network: Any = _built(name, own, options)
    if weights is not None and own is None:
        load_weights(network, weights, without_head=without_head)
        if is_torchvision_name(name) and hasattr(network, "transform_input"):
            network.transform_input = True
    built: nn.Module = network.eval()
    return built


def _is_librarys(name: str, weights: str | Path) -> bool:
    """Whether `weights` names weights that come with the network, and no file."""
    if weights == "default" or not is_torchvision_name(name):
        return weights == "default"
    import torchvision

    return str(weights) in torchvision.models.get_model_weights(name).__members__


def _built(name: str, weights: str | Path | None, options: dict[str, Any]) -> nn.Module:
    """The network with weights that come with it, or random ones (None)."""
    if is_users_function(name):
        return _users_network(name, options)
    if name in BUNDLED:
        return BUNDLED[name].build(weights is not None, options)
    if not is_torchvision_name(name):
        return _timm_network(name, weights is not None, options)
    import torchvision

    weights = "DEFAULT" if weights == "default" else weights
    network: nn.Module = torchvision.models.get_model(name, weights=weights, **options)
    return network


def is_users_function(name: str) -> bool:
    """Whether `name` is "package.module:function"."""
    return ":" in name


def _users_network(name: str, options: dict[str, int]) -> nn.Module:
    """What a user's function returns, with the weights that it gives."""
    module_name, _, function_name = name.partition(":")
    try:
        function = getattr(import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"network: {name} cannot be found ({error}); expected package.module:function"
        ) from None
    network = function(**options)
    if not isinstance(network, nn.Module):
        raise TypeError(f"network: {name} returns a {type(network).__name__}, expected a torch module")
    return network


def is_torchvision_name(name: str) -> bool:
    """Whether torchvision has a classifier called `name`."""
    import torchvision  # here: it takes seconds, which `import opticam` need not spend

    return name in torchvision.models.list_models(module=torchvision.models)


def pixel_statistics(
    name: str, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> tuple[Sequence[float], Sequence[float]]:
    """Mean and standard deviation of RGB in [0,1]: those given, or what the library's weights of `name` had."""
    if mean is not None and std is not None:
        return mean, std
    stated_mean, stated_std = _stated_statistics(name)
    return (stated_mean if mean is None else mean), (stated_std if std is None else std)


def as_statistics(
    mean: float | Sequence[float], std: float | Sequence[float], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """The given "mean" and "std" as tensors [1,C,1,1].

    Raises TypeError or ValueError, naming the argument, unless all are finite in `dtype`, std positive, and as many.
    """
    found = {}
    kinds = ("mean", mean, -math.inf, "finite"), ("std", std, 0, "positive and finite")
    for name, values, least, kind in kinds:
        try:
            tensor = torch.as_tensor(values, dtype=dtype).detach().clone().reshape(1, -1, 1, 1)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError(f"{name}: expected one number a channel, got {values!r}") from None
        if not ((tensor > least) & (tensor < math.inf)).all():
            raise ValueError(f"{name}: must be {kind}, got {values!r}")
        found[name] = tensor
    means, deviations = (tensor.numel() for tensor in found.values())
    if means != deviations or not means:
        raise ValueError(
            f"mean, std: expected as many of each, and at least one, got {means} and {deviations}"
        )
    return found


def _stated_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if is_users_function(name):
        return IMAGENET_MEAN, IMAGENET_STD
    if name in BUNDLED:
        return BUNDLED[name].mean, BUNDLED[name].std
    if is_torchvision_name(name):
        import torchvision

        transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        return tuple(transform.mean), tuple(transform.std)
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise ValueError(f"network: timm states no mean and std for {name!r}")
    return tuple(config.mean), tuple(config.std)


def input_size(name: str, network: nn.Module) -> int:
    """Side in pixels of the pictures that the network `name` states, or else the library's weights, or else 224."""
    stated = stated_size(inner_network(network))
    if stated is not None:
        return stated[0]
    if not is_torchvision_name(name):
        return 224
    import torchvision

    return int(torchvision.models.get_model_weights(name).DEFAULT.transforms().crop_size[0])


def class_names(name: str) -> list[str] | None:
    """Class names of the library's weights of a torchvision network, or None where it states none."""
    if is_users_function(name):
        return None
    if name in BUNDLED:
        name = "resnet50"  # of the same 1000 classes
    if not is_torchvision_name(name):
        return None
    import torchvision

    names: list[str] | None = torchvision.models.get_model_weights(name).DEFAULT.meta.get("categories")
    return names


def _timm_network(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    hint = f"network: torchvision has no classifier called {name!r}"
    try:
        import timm
    except ImportError:
        raise ValueError(f"{hint}, and timm, which may have it, is not installed") from None
    if not timm.is_model(name):
        raise ValueError(f"{hint}, nor has timm; for example resnet50, vgg16_bn, vit_b_16, squeezenet1_1")
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # of a tag behind the name that timm does not know
        raise ValueError(f"network: {error}") from None
    return timm.create_model(name, pretrained=pretrained, **options)
