"""One iteration of Opti-CAM on tensors that stay in place, so that it can also be captured as a CUDA graph."""

from __future__ import annotations

import torch

from opticam.classifier import Classifier
from opticam.masking import MaskOptimizer, saliency_mask
from opticam.saliency.optimisation.objectives import Objective
from opticam.saliency.targets import Score


class Ascent:
    """Adam on u [B,K] from zero, image by image: F(u) is a sum over images and Adam works element by element.

    features [B,K,h,w]; images [B,3,H,W]; score from logits [B,C] to [B]. After each `step`, `values` [B] is F
    before the step, `steps` [B] counts the updates of each image, and `running` [B] tells which go on.
    stop_change: an image whose F changes by less than this from one iteration to the next keeps its u.
    """

    def __init__(
        self,
        classifier: Classifier,
        features: torch.Tensor,
        images: torch.Tensor,
        score: Score,
        *,
        objective: Objective,
        learning_rate: float,
        normalization: str,
        stop_change: float | None,
    ) -> None:
        self.classifier, self.score = classifier, score
        self.objective, self.stop_change = objective, stop_change
        self.normalization = normalization
        self.optimizer = MaskOptimizer(features, images, normalization, learning_rate)
        self.features, self.images = self.optimizer.features, self.optimizer.images
        self.logits_u = self.optimizer.logits_u
        self.values = self.logits_u.new_zeros(len(images))
        self.running = torch.ones_like(self.values, dtype=torch.bool)
        self.steps = torch.zeros_like(self.values, dtype=torch.long)
        self.image_scores = torch.zeros_like(self.values)
        self.read_image()

    @torch.no_grad()
    def read_image(self) -> None:
        """Score the unmasked images, where the objective compares with them."""
        if self.objective.reads_image:
            self.image_scores.copy_(self.score(self.classifier(self.images)))

    def objective_values(self, masked: torch.Tensor) -> torch.Tensor:
        """F [B] of masked images [B,3,H,W]; differentiable in them."""
        complement = None
        if self.objective.reads_complement:
            complement = self.score(self.classifier(self.images - masked))
        return self.objective.combine(self.score(self.classifier(masked)), self.image_scores, complement)

    @torch.no_grad()
    def step(self) -> None:
        """One update of u; every tensor of this object is written in place."""
        masked = self.optimizer.mask()
        with torch.enable_grad():
            values = self.objective_values(masked)
            (gradient,) = torch.autograd.grad(values.sum(), masked)
        self._record(values.detach())
        before = self.logits_u.clone()
        self.optimizer.step(-gradient)  # it descends, F is to grow
        self.logits_u.copy_(torch.where(self.running[:, None], self.logits_u, before))
        self.steps.add_(self.running)

    @torch.no_grad()
    def finish(self) -> None:
        """Evaluate F at the last u."""
        self._record(self.objective_values(self.optimizer.mask()))

    @torch.no_grad()
    def maps(self, logits_u: torch.Tensor) -> torch.Tensor:
        """The maps n(up(S)) [B,H,W] of u."""
        return saliency_mask(self.features, logits_u, self.images, self.normalization)[1]

    @torch.no_grad()
    def _record(self, values: torch.Tensor) -> None:
        if self.stop_change is not None:
            changed = (values - self.values).abs() >= self.stop_change
            self.running.logical_and_(changed | (self.steps == 0))
        self.values.copy_(values)
