"""Find the layer whose feature maps are combined into a saliency map."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn


def find_layer(network: nn.Module, target_layer: nn.Module | str | None) -> nn.Module:
    """The module meant by `target_layer`: a module of `network`, its dotted name, or None for the default.

    Raises ValueError for a name or module that `network` does not have, TypeError for anything else.
    """
    if target_layer is None:
        return default_layer(network)
    if isinstance(target_layer, str):
        try:
            return network.get_submodule(target_layer.replace("[", ".").replace("]", ""))
        except (AttributeError, IndexError):
            known = ", ".join(name for name, _ in network.named_children())
            raise ValueError(
                f"target_layer: {type(network).__name__} has no layer {target_layer!r}; "
                f"a dotted path from its children is accepted: {known}"
            ) from None
    if not isinstance(target_layer, nn.Module):
        raise TypeError(
            f"target_layer: expected a module, a name or None, got {type(target_layer).__name__}"
            + ("; give one layer, not a list" if isinstance(target_layer, list | tuple) else "")
        )
    if not any(module is target_layer for module in network.modules()):
        raise ValueError(f"target_layer: this {type(target_layer).__name__} is not part of the network")
    return target_layer


def layer_name(network: nn.Module, layer: nn.Module | str) -> str:
    """The dotted name of a layer of `network`, given as module or name; raises as `find_layer` does."""
    found = find_layer(network, layer)
    return next(str(name) for name, module in network.named_modules() if module is found)


def inner_network(network: nn.Module) -> nn.Module:
    """The network inside wrappers such as DataParallel, a compiled module or a user's class around one network.

    A wrapper has no parameters of its own and one child that has any.
    """
    while not isinstance(network, nn.Sequential | nn.ModuleList):
        children = [child for child in network.children() if next(child.parameters(), None) is not None]
        own = next(network.parameters(recurse=False), None)
        if own is not None or len(children) != 1 or isinstance(children[0], nn.Sequential | nn.ModuleList):
            break
        network = children[0]
    return network


def default_layer(network: nn.Module) -> nn.Module:
    """The papers' layer of a known family, otherwise the last convolution (Opti-CAM, App. A).

    ResNet: the last bottleneck's output. VGG: the ReLU before the last max-pooling (features[42] of vgg16_bn).
    Vision transformers: the first layer norm of the last block. Other torchvision networks with a `features`
    trunk (SqueezeNet, MobileNet, DenseNet, ...): its last module. Raises ValueError where none applies.
    """
    network = inner_network(network)
    parts: Any = network
    layer: nn.Module
    if _is_torchvision(network, "VisionTransformer"):
        layer = parts.encoder.layers[-1].ln_1
        return layer
    if hasattr(network, "blocks") and hasattr(parts.blocks[-1], "norm1"):
        layer = parts.blocks[-1].norm1
        return layer
    stage = getattr(network, "layer4", None)
    if isinstance(stage, nn.Sequential):
        return stage[-1]
    features = getattr(network, "features", None)
    if _is_torchvision(network, "VGG"):
        pools = [i for i, module in enumerate(parts.features) if isinstance(module, nn.MaxPool2d)]
        layer = parts.features[pools[-1] - 1]
        return layer
    if isinstance(features, nn.Sequential):
        return features[-1]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError(
            f"target_layer: no default for {type(network).__name__}, which has no convolution; "
            "name the layer whose output is to be explained"
        )
    return convolutions[-1]


def _is_torchvision(network: nn.Module, family: str) -> bool:
    """Whether a network is of one of torchvision's classes; none is where nobody has loaded torchvision."""
    models = sys.modules.get("torchvision.models")
    return models is not None and isinstance(network, getattr(models, family))
