"""Our methods with the constructor and the call of the pytorch-grad-cam package.

    with GradCAM(model=model, target_layers=[model.layer4[-1]]) as cam:
        grayscale_cam = cam(input_tensor=input_tensor, targets=[ClassifierOutputTarget(281)])[0, :]

Maps are NumPy float32 [B,H,W] in [0,1], as there. No hook outlives a call, so `with` is optional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from opticam import saliency
from opticam.adapters.pixels import pixels_of, wrap
from opticam.masking import normalize_map

Target = Callable[[torch.Tensor], torch.Tensor]
Targets = Sequence[Target | int] | np.ndarray | torch.Tensor | None


class PackageStyle:
    """A saliency method that is built and called as those of pytorch-grad-cam.

    model: any classifier. target_layers: list of modules; several layers give the mean of their maps, or for
    Opti-CAM one optimisation over all. reshape_transform: from a layer's output to [B,K,h,w]; transformers
    of torchvision and timm need none.
    mean, std: how `input_tensor` was normalised. With them, methods that mask the image mask its pixels, as
    the Opti-CAM paper does; without, they mask the tensor as it is, as pytorch-grad-cam does.
    options: those of our method; Score-CAM aligns corners, as the package does, unless align_corners is given.
    """

    method: ClassVar[type[saliency.SaliencyMethod]]

    def __init__(
        self,
        model: nn.Module,
        target_layers: Sequence[nn.Module],
        reshape_transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        optimize: str = "fast",
        **options: Any,
    ) -> None:
        if not isinstance(target_layers, Sequence) or isinstance(target_layers, nn.Module | str):
            raise TypeError(f"target_layers: expected a list of layers, got {type(target_layers).__name__}")
        if not target_layers:
            raise ValueError("target_layers: expected at least one layer, got none")
        if self.method is saliency.ScoreCAM:
            options.setdefault("align_corners", True)
        together = self.method is saliency.OptiCAM
        if together:
            options["layers"] = target_layers
        own = target_layers[:1] if together else target_layers
        classifiers = [wrap(model, layer, reshape_transform, mean, std, optimize) for layer in own]
        self.methods = [self.method(classifier, **options) for classifier in classifiers]
        self._images: torch.Tensor | None = None

    def __call__(
        self,
        input_tensor: torch.Tensor,
        targets: Targets = None,
        aug_smooth: bool = False,
        eigen_smooth: bool = False,
    ) -> np.ndarray:
        """Maps [B,H,W] of normalised images [B,3,H,W].

        targets: one function from an image's logits [C] to a number, or one class id, an image, in a list, tensor or
        array; None explains the predicted class. aug_smooth and eigen_smooth are not offered: ValueError.
        """
        if aug_smooth or eigen_smooth:
            raise ValueError("aug_smooth, eigen_smooth: not offered, got True")
        self._images = pixels_of(input_tensor, self.methods[0].classifier)
        score = _score(targets, len(input_tensor))
        maps = torch.stack([method(self._images, score) for method in self.methods])
        maps = maps[0] if len(maps) == 1 else normalize_map(maps.mean(0))
        return maps.cpu().numpy()

    @property
    def outputs(self) -> torch.Tensor:
        """Logits [B,C] of the last call's images."""
        if self._images is None:
            raise RuntimeError("outputs: there is none before the first call")
        with torch.no_grad():
            logits: torch.Tensor = self.methods[0].classifier(self._images)
            return logits

    def __enter__(self) -> PackageStyle:
        return self

    def __exit__(self, *exception: object) -> None:
        self._images = None


def _score(
    targets: Targets, batch: int
) -> Sequence[int] | torch.Tensor | Callable[[torch.Tensor], torch.Tensor] | None:
    if targets is None:
        return None
    if not any(callable(target) for target in targets):
        return torch.as_tensor(targets)
    if len(targets) != batch:
        raise ValueError(f"targets: expected {batch}, one per image, got {len(targets)}")
    # Flat: of a network with one logit BinaryClassifierOutputTarget gives a list of one number.
    return lambda logits: torch.stack(
        [target(row) if callable(target) else row[target] for target, row in zip(targets, logits)]
    ).flatten()


def _like_the_package(method: type[saliency.SaliencyMethod]) -> type[PackageStyle]:
    text = f"`opticam.{method.__name__}` with the calls of pytorch-grad-cam; see `PackageStyle`."
    return type(method.__name__, (PackageStyle,), {"method": method, "__doc__": text, "__module__": __name__})


AblationCAM = _like_the_package(saliency.AblationCAM)
ExtremalPerturbation = _like_the_package(saliency.ExtremalPerturbation)
GradCAM = _like_the_package(saliency.GradCAM)
GradCAMPlusPlus = _like_the_package(saliency.GradCAMPlusPlus)
HiResCAM = _like_the_package(saliency.HiResCAM)
LayerCAM = _like_the_package(saliency.LayerCAM)
OptiCAM = _like_the_package(saliency.OptiCAM)
ScoreCAM = _like_the_package(saliency.ScoreCAM)
XGradCAM = _like_the_package(saliency.XGradCAM)
