"""Build a torchvision or timm classifier by name, with weights from a file or from the library."""

from __future__ import annotations

from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import nn


def build_network(name: str, weights: str | Path | None = None, num_classes: int | None = None) -> nn.Module:
    """The classifier called `name` in torchvision, or in timm where torchvision has none of that name.

    weights: path of a state dictionary (.safetensors, or a file that `torch.load(weights_only=True)` reads),
    "default" for the library's own pretrained weights (downloaded by the library), the name of one of
    torchvision's ("IMAGENET1K_V1"), None for random weights.
    num_classes: size of the last layer; the library's default (1000) where None.
    Raises ValueError for an unknown name or weights of another architecture, FileNotFoundError for no file.
    """
    options = {} if num_classes is None else {"num_classes": num_classes}
    own = "DEFAULT" if weights == "default" else None
    if is_torchvision_name(name):
        import torchvision

        if weights in torchvision.models.get_model_weights(name).__members__:
            own = weights
        network = torchvision.models.get_model(name, weights=own, **options)
    else:
        network = _timm_network(name, own is not None, options)
    if weights is not None and own is None:
        load_weights(network, weights)
    return network.eval()


def is_torchvision_name(name: str) -> bool:
    """Whether torchvision has a classifier called `name`."""
    import torchvision  # here: it takes seconds, which `import opticam` need not spend

    return name in torchvision.models.list_models(module=torchvision.models)


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a state dictionary into `network`, strictly and without running code from the file.

    Raises FileNotFoundError, or ValueError where the file is no state dictionary or for another architecture.
    """
    state = _read_state(Path(path))
    expected = network.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    shapes = sorted(k for k in expected.keys() & state.keys() if expected[k].shape != state[k].shape)
    if missing or unexpected or shapes:
        example = (missing or unexpected or shapes)[0]
        raise ValueError(
            f"weights: {path} does not fit {type(network).__name__}: {len(missing)} keys missing, "
            f"{len(unexpected)} unexpected, {len(shapes)} of another shape, for example {example!r}"
        )
    network.load_state_dict(state)


def pixel_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of RGB in [0,1] that the library's weights of `name` were trained with."""
    if is_torchvision_name(name):
        import torchvision

        transform = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        return tuple(transform.mean), tuple(transform.std)
    import timm

    config = timm.get_pretrained_cfg(name)
    return tuple(config.mean), tuple(config.std)


def class_names(name: str) -> list[str] | None:
    """Class names of the library's weights of a torchvision network, or None where it states none."""
    if not is_torchvision_name(name):
        return None
    import torchvision

    return torchvision.models.get_model_weights(name).DEFAULT.meta.get("categories")


def _timm_network(name: str, pretrained: bool, options: dict[str, int]) -> nn.Module:
    hint = f"network: torchvision has no classifier called {name!r}"
    try:
        import timm
    except ImportError:
        raise ValueError(f"{hint}, and timm, which may have it, is not installed") from None
    if not timm.is_model(name):
        raise ValueError(f"{hint}, nor has timm; for example resnet50, vgg16_bn, vit_b_16, squeezenet1_1")
    return timm.create_model(name, pretrained=pretrained, **options)


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"weights: there is no file {path}")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights: {path} cannot be read: {_reason(error)}") from None
    except Exception as error:  # pickle.UnpicklingError and friends: whatever a foreign file provokes
        raise ValueError(f"weights: {path} is no state dictionary ({type(error).__name__})") from None
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ValueError(f"weights: {path} holds no state dictionary (names to tensors)")
    return state
