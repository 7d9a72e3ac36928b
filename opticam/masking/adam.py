"""Opti-CAM's loop with the gradient and Adam's step in one call: mask -> network -> gradient-and-step."""

from __future__ import annotations

import torch
from torch import Tensor

from opticam.masking import direct, inputs


class MaskOptimizer:
    """Adam on logits_u [B,K], starting from zeros, for the map of `saliency_mask`.

    Each iteration: `masked = optimizer.mask()`, the gradient of an objective to be made small with respect to
    masked, then `optimizer.step(gradient)`. `saliency_map` [B,H,W] is the map of the latest `mask()`.
    features [B,K,h,w] or [1,K,h,w] and images [B,C,H,W], as in `saliency_mask`; float64 features make
    everything float64. rate, betas and epsilon are Adam's; the paper uses a rate of 0.1 (appendix A).
    """

    def __init__(
        self,
        features: Tensor,
        images: Tensor,
        normalization: str = "range",
        rate: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        inputs.check_features(features, images)
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        self.logits_u = torch.zeros(images.shape[0], features.shape[1], dtype=dtype, device=images.device)
        inputs.check_saliency_mask(features, self.logits_u, images, normalization)
        self.features, self.images, self.normalization = features.detach(), images.detach(), normalization
        self._shape, self._dtype = images.shape, images.dtype  # asked for in every step
        self.settings = (rate, *betas, epsilon)
        self.moments = torch.zeros_like(self.logits_u), torch.zeros_like(self.logits_u)
        self.iteration = torch.zeros((), dtype=torch.int64, device=images.device)
        tensors = self.images, self.features, self.logits_u
        self._direct = direct.possible(*tensors) and direct.served("auto", tensors)

    def mask(self) -> Tensor:
        """The images masked with the present logits_u: [B,C,H,W], a leaf that requires a gradient."""
        forward = direct.kernels().saliency_mask if self._direct else torch.ops.opticam.saliency_mask
        outputs = forward(self.features, self.logits_u, self.images, self.normalization)
        masked: Tensor
        masked, self.saliency_map, self._weights, self._surface = outputs
        return masked.requires_grad_()

    def step(self, grad_masked: Tensor) -> None:
        """One Adam step of logits_u against the gradient of the latest masked images, of their shape and dtype.

        Raises ValueError for any other shape, TypeError for any other dtype.
        """
        if grad_masked.shape != self._shape:
            raise ValueError(
                f"grad_masked has shape {tuple(grad_masked.shape)}; accepted: the images' {tuple(self._shape)}"
            )
        if grad_masked.dtype != self._dtype:
            raise TypeError(f"grad_masked is {grad_masked.dtype}; accepted: the images' {self._dtype}")
        saved = self.saliency_map, self._weights, self._surface, self.normalization
        state = self.logits_u, *self.moments, self.iteration
        arguments = *state, grad_masked, None, self.features, self.images, *saved, *self.settings
        if self._direct:
            direct.kernels().saliency_mask_adam_(*arguments, counts=True)
        else:
            self.iteration += 1
            torch.ops.opticam.saliency_mask_adam_(*arguments)
