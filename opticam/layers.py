"""Find the layer whose feature maps are combined into a saliency map."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn

from opticam.last_map import last_spatial_layer
from opticam.outputs import inner_network


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


def default_layer(network: nn.Module) -> nn.Module:
    """The papers' layer of a known family, otherwise the last block or convolution whose output lies on the image.

    ResNet: the last bottleneck's output, behind skip connection and ReLU as in the authors' code, where the paper
    says its third convolution. VGG: the ReLU before the last max-pooling (features[42] of vgg16_bn), if it has one.
    Vision transformers: the first layer norm of the last block (Opti-CAM, App. A). torchvision's others with a
    `features` trunk (SqueezeNet, MobileNet, DenseNet, ...): its last module. Elsewhere what runs last is found by
    passing noise through the network; one that takes no picture of a common size is explained at the last of its
    convolutions. Raises ValueError where none applies.
    """
    network = inner_network(network)
    found = _layer_of_family(network)
    found = last_spatial_layer(network) if found is None else found
    if found is not None:
        return found
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions:
        raise ValueError(
            f"target_layer: no default for {type(network).__name__}, none of whose layers puts out a map; "
            "name the layer whose output is to be explained"
        )
    return convolutions[-1]


def _layer_of_family(network: Any) -> nn.Module | None:
    """The layer of a network whose family the papers or torchvision lay out; None for others."""
    layer: nn.Module | None = None
    blocks, layer4 = getattr(network, "blocks", None), getattr(network, "layer4", None)
    features = network.features if _is_torchvision(network, "VGG") else ()
    pools = [place for place, module in enumerate(features) if isinstance(module, nn.MaxPool2d)]
    if _is_torchvision(network, "VisionTransformer"):
        layer = network.encoder.layers[-1].ln_1
    elif isinstance(blocks, nn.Sequential | nn.ModuleList) and blocks and hasattr(blocks[-1], "norm1"):
        layer = blocks[-1].get_submodule("norm1")
    elif isinstance(layer4, nn.Sequential) and layer4 and not hasattr(network, "layer5"):
        layer = layer4[-1]
    elif pools:
        layer = network.features[pools[-1] - 1]
    elif type(network).__module__.startswith("torchvision.") and hasattr(network, "features"):
        layer = network.features[-1]
    return layer


def _is_torchvision(network: nn.Module, family: str) -> bool:
    """Whether a network is of one of torchvision's classes; none is where nobody has loaded torchvision."""
    models = sys.modules.get("torchvision.models")
    return models is not None and isinstance(network, getattr(models, family))
