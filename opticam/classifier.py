"""A frozen network with its pixel normalisation and its target layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from opticam.layers import find_layer
from opticam.networks import build_network, pixel_statistics
from opticam.tokens import tokens_to_map

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Classifier(nn.Module):
    """An image classifier to explain: images [B,3,H,W] in [0,1] -> logits [B,C] and feature maps [B,K,h,w].

    The network's mean and standard deviation are applied inside, after any mask on the pixels (Opti-CAM,
    App. A and H). While in use the network is in eval mode and its parameters need no gradient; afterwards,
    also after an exception, it is as it was.

    network: module from normalised images to logits.
    target_layer: module, dotted name ("layer4.2", "features[42]") or None for the papers' layer of the family.
    mean, std: per channel, of pixels in [0,1].
    reshape: function from the target layer's output to [B,K,h,w]; None handles maps and token sequences.
    Raises ValueError or TypeError, naming the argument.
    """

    def __init__(
        self,
        network: nn.Module,
        target_layer: nn.Module | str | None = None,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        reshape: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(network, nn.Module):
            raise TypeError(f"network: expected a torch module, got {type(network).__name__}")
        if len(mean) != len(std) or min(std) <= 0:
            raise ValueError(f"mean, std: need as many positive std as means, got {tuple(mean)} and {tuple(std)}")
        self.network = network
        self._target_layer = [find_layer(network, target_layer)]  # in a list, so it is registered only once
        self.reshape = reshape
        self._frozen = False
        self.num_classes: int | None = None  # known after the first forward pass
        like = next(network.parameters(), torch.zeros(()))
        for name, values in (("mean", mean), ("std", std)):
            buffer = torch.tensor(values, dtype=like.dtype, device=like.device).reshape(1, -1, 1, 1)
            self.register_buffer(name, buffer)

    @classmethod
    def from_name(
        cls,
        name: str,
        weights: str | Path | None = "default",
        *,
        num_classes: int | None = None,
        target_layer: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Classifier:
        """A torchvision or timm classifier by name, such as "resnet50", "vgg16_bn", "vit_b_16".

        weights: a file, "default" for the library's own (downloaded by it), or None for random ones.
        mean, std: None takes what the library states for its weights.
        """
        network = build_network(name, weights, num_classes)
        library_mean, library_std = pixel_statistics(name)
        return cls(network, target_layer, mean=mean or library_mean, std=std or library_std)

    @property
    def target_layer(self) -> nn.Module:
        """The module whose output is the feature map A (Opti-CAM, section 3)."""
        return self._target_layer[0]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [B,C] of images [B,3,H,W] in [0,1]; differentiable in the images."""
        with self.frozen():
            logits = self.network((images - self.mean) / self.std)
        if logits.dim() != 2:
            raise ValueError(f"network: expected logits [B,C], got an output of shape {tuple(logits.shape)}")
        self.num_classes = logits.shape[1]
        return logits

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Feature maps A [B,K,h,w] of the target layer, detached."""
        return self.features_and_logits(images)[0]

    @torch.no_grad()
    def features_and_logits(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps A [B,K,h,w] and logits [B,C] of one forward pass, detached."""
        with self._recording(differentiable=False) as outputs:
            logits = self(images)
        return self._as_map(outputs, images), logits

    @torch.enable_grad()
    def gradients(
        self, images: torch.Tensor, score: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Feature maps A, gradients dy/dA (both [B,K,h,w]) and logits [B,C], detached.

        score: from logits [B,C] to one number y an image [B]. Only the layers behind the target layer are
        differentiated, and no parameter is.
        """
        with self._recording(differentiable=True) as outputs:
            logits = self(images)
        if not outputs:
            return self._as_map(outputs, images), logits, logits  # raises
        (gradient,) = torch.autograd.grad(score(logits).sum(), outputs[0])
        return (
            self._as_map(outputs, images).detach(),
            self._as_map([gradient], images),
            logits.detach(),
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Eval mode and no parameter gradients inside; the network's own state again outside."""
        if self._frozen:
            yield
            return
        trained = [module for module in self.network.modules() if module.training]
        learned = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self._frozen = True
        try:
            for module in trained:
                module.training = False
            for parameter in learned:
                parameter.requires_grad_(False)
            yield
        finally:
            self._frozen = False
            for module in trained:
                module.training = True
            for parameter in learned:
                parameter.requires_grad_(True)

    @contextmanager
    def _recording(self, differentiable: bool) -> Iterator[list[torch.Tensor]]:
        """Collect the target layer's output of the forward passes inside."""
        outputs: list[torch.Tensor] = []

        def record(module: nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
            outputs.append(output.detach().requires_grad_(differentiable))
            # The copy protects the record from an in-place ReLU behind the layer.
            return outputs[-1].clone()

        handle = self.target_layer.register_forward_hook(record)
        try:
            yield outputs
        finally:
            handle.remove()

    def _as_map(self, outputs: list[torch.Tensor], images: torch.Tensor) -> torch.Tensor:
        if len(outputs) != 1:
            raise ValueError(f"target_layer: ran {len(outputs)} times in one forward pass, expected once")
        output = outputs[0]
        if self.reshape is not None:
            output = self.reshape(output)
        elif output.dim() == 3:
            output = tokens_to_map(output, self.network, tuple(images.shape[-2:]))
        if output.dim() != 4:
            raise ValueError(
                f"target_layer: its output has shape {tuple(output.shape)}; expected [B,K,h,w] or tokens [B,N,K]; "
                "give Classifier(reshape=...) for other layouts"
            )
        return output
