"""Our methods with the constructor and the `attribute` of Captum's layer attributions, for Quantus as well.

    attribution = Attribution(model, model.layer4[-1], method=OptiCAM).attribute(inputs, target=281)

For Quantus, whose explanation functions take and give NumPy arrays:

    def explain(model, inputs, targets, **options):
        tensors = torch.as_tensor(inputs), torch.as_tensor(targets)
        return Attribution(model, model.layer4[-1]).attribute(tensors[0], target=tensors[1]).numpy()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from opticam.adapters.pixels import pixels_of, wrap
from opticam.saliency import OptiCAM, SaliencyMethod
from opticam.saliency.targets import Targets


class Attribution:
    """A saliency method that is built and called as Captum's `LayerGradCam`.

    forward_func: the network; other callables have no layers to read. layer: module or name; None for the
    papers' layer. method: one of our methods, with its options.
    mean, std: how `inputs` are normalised; with them the masking methods mask pixels, without them the inputs
    as they are. reshape: from the layer's output to [B,K,h,w], where the layer gives neither maps nor tokens.
    """

    def __init__(
        self,
        forward_func: nn.Module,
        layer: nn.Module | str | None = None,
        *,
        method: type[SaliencyMethod] = OptiCAM,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        reshape: Callable[[torch.Tensor], torch.Tensor] | None = None,
        optimize: str = "fast",
        **options: Any,
    ) -> None:
        if not isinstance(forward_func, nn.Module):
            raise TypeError(f"forward_func: expected a torch module, got {type(forward_func).__name__}")
        self.classifier = wrap(forward_func, layer, reshape, mean, std, optimize)
        self.method = method(self.classifier, **options)

    def attribute(self, inputs: torch.Tensor, target: Targets = None) -> torch.Tensor:
        """Maps [B,1,H,W] in [0,1], of the size of the inputs [B,3,H,W] and on their device.

        target: class id, one id per image (tensor or list), a function from logits [B,C] to scores [B], or None
        for the predicted class.
        """
        maps = self.method(pixels_of(inputs, self.classifier), target)
        return maps[:, None].to(inputs.device)
