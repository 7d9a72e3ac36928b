"""Build a torchvision or timm classifier by name, with weights from a file or from the library."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from opticam.bundled import BUNDLED
from opticam.weights import load_weights

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def build_network(name: str, weights: str | Path | None = None, num_classes: int | None = None) -> nn.Module:
    """The classifier called `name`: one of `BUNDLED`, torchvision's, or timm's where torchvision has none.

    weights: path of a state dictionary (.safetensors, or a file that `torch.load(weights_only=True)` reads),
    "default" for the library's own pretrained weights (downloaded by the library), the name of one of
    torchvision's ("IMAGENET1K_V1"), None for random weights.
    num_classes: size of the last layer; the library's default (1000) where None.
    name may also be "package.module:function", a function of the user's that returns the network.
    Raises ValueError for an unknown name or weights of another architecture, FileNotFoundError for no file.
    """
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if is_users_function(name):
        return _users_network(name, weights, options).eval()
    if name in BUNDLED:
        return BUNDLED[name].build(weights, options).eval()
    own = "DEFAULT" if weights == "default" else None
    if is_torchvision_name(name):
        import torchvision

        if isinstance(weights, str) and weights in torchvision.models.get_model_weights(name).__members__:
            own = weights
        network: nn.Module = torchvision.models.get_model(name, weights=own, **options)
    else:
        network = _timm_network(name, own is not None, options)
    if weights is not None and own is None:
        load_weights(network, weights)
    return network.eval()


def is_users_function(name: str) -> bool:
    """Whether `name` is "package.module:function"."""
    return ":" in name


def _users_network(name: str, weights: str | Path | None, options: dict[str, int]) -> nn.Module:
    """What a user's function returns; its own weights unless a file is given."""
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
    if weights not in (None, "default"):
        load_weights(network, weights)
    return network


def is_torchvision_name(name: str) -> bool:
    """Whether torchvision has a classifier called `name`."""
    import torchvision  # here: it takes seconds, which `import opticam` need not spend

    return name in torchvision.models.list_models(module=torchvision.models)


def pixel_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in [0,1] that the library's weights of `name` were trained with."""
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


def class_names(name: str) -> list[str] | None:
    """Class names of the library's weights of a torchvision network, or None where it states none."""
    if is_users_function(name):
        return None
    if name in BUNDLED:
        name = BUNDLED[name].names_of
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
    return timm.create_model(name, pretrained=pretrained, **options)
