"""Opti-CAM as a plain loop: as its public reference runs it, and the same loop with its waste repaired.

Both are written from the description of the method and of the reference: Adam on u from 0.5, the objective
sum_b f(x)_c - f(x * n(up(S)))_c to be minimised, the last iterate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class NormalisedNetwork(nn.Module):
    """Pixel normalisation and network, of images in [0,1]."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network, self.mean, self.std = network, mean, std

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B,C]."""
        return self.network((images - self.mean) / self.std)


class Outcome(NamedTuple):
    """Maps [B,H,W] of the last iterate; map [B,H,W] and gradient [B,K] of the objective at the first."""

    maps: Tensor
    first_map: Tensor
    first_gradient: Tensor


def reference_loop(
    model: NormalisedNetwork, layer: nn.Module, images: Tensor, ids: Tensor, iterations: int
) -> Outcome:
    """Opti-CAM as the public reference works.

    The parameters keep their gradients; the logits of the images keep their graph, through which every
    iteration propagates again; a hook copies the activations of every forward pass to the host.
    """
    copies: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: copies.append(output.cpu().detach()))
    try:
        full = model(images)
        features = copies.pop().to(images.device).relu()
        outcome = _ascend(model, features, full, images, ids, iterations, retain_graph=True)
    finally:
        handle.remove()
    model.zero_grad()
    return outcome


def repaired_loop(
    model: NormalisedNetwork, layer: nn.Module, images: Tensor, ids: Tensor, iterations: int
) -> Outcome:
    """The same loop with frozen parameters, the images' logits as constants, and no hook while it runs."""
    records: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, inputs, output: records.append(output))
    with _frozen(model):
        try:
            with torch.no_grad():
                full = model(images)
        finally:
            handle.remove()
        return _ascend(model, records[0].relu(), full, images, ids, iterations, retain_graph=False)


def _ascend(
    model: NormalisedNetwork,
    features: Tensor,
    full: Tensor,
    images: Tensor,
    ids: Tensor,
    iterations: int,
    retain_graph: bool,
) -> Outcome:
    u = torch.full((*features.shape[:2], 1, 1), 0.5, device=images.device, requires_grad=True)
    adam = torch.optim.Adam([u], lr=0.1)
    first_map = render(features, u, images).detach()
    first_gradient = torch.empty(0)
    for iteration in range(iterations):
        masked = model(images * render(features, u, images)[:, None])
        loss = (_of_class(full, ids) - _of_class(masked, ids)).sum()
        adam.zero_grad()
        loss.backward(retain_graph=retain_graph)
        if iteration == 0 and u.grad is not None:
            first_gradient = -u.grad.flatten(1)
        adam.step()
    return Outcome(render(features, u, images).detach(), first_map, first_gradient)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def render(features: Tensor, u: Tensor, images: Tensor) -> Tensor:
    """n(up(sum_k softmax(u)_k A^k)) [B,H,W], range-normalised."""
    surface = (u.softmax(1) * features).sum(1, keepdim=True)
    maps = F.interpolate(surface, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low)


def _of_class(logits: Tensor, ids: Tensor) -> Tensor:
    return logits.gather(1, ids[:, None])[:, 0]


def grad_cam_package(name: str, model: nn.Module, layer: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """A method of the grad-cam package as a function of images and class ids; ImportError without it."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def maps(images: Tensor, ids: Tensor) -> Tensor:
        with getattr(pytorch_grad_cam, name)(model, [layer]) as cam:
            return torch.from_numpy(np.asarray(cam(images, [ClassifierOutputTarget(int(i)) for i in ids])))

    return maps


def torch_cam_package(name: str, model: nn.Module, layer: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """A method of the torch-cam package as a function of images and class ids; ImportError without it."""
    from torchcam import methods

    def maps(images: Tensor, ids: Tensor) -> Tensor:
        with getattr(methods, name)(model, layer) as cam:
            return cam(ids.tolist(), model(images))[0]

    return maps
