"""The training loss of one batch: cross entropy and the weighted constraints."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dpnet.model.constraints import assignment, assignment_balance, class_specificity, orthogonality
from dpnet.model.part_layer import PartClassifier, PartOutput
from dpnet.training.settings import ConstraintWeights, TrainingSettings


def batch_loss(
    model: nn.Module,
    forward: nn.Module,
    features: Tensor,
    labels: Tensor,
    settings: TrainingSettings,
    share: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of this process's part of a batch, and its terms, detached.

    ``forward`` is ``model`` or its distributed wrapper. ``share`` scales the terms that are means over images
    by (images here * processes / images in the whole batch), so that the average of the gradients over the
    processes is the gradient of one process with the whole batch.
    """
    if not isinstance(model, PartClassifier):
        terms = {"cross_entropy": share * _cross_entropy(forward(features), labels, settings)}
    else:
        weights = settings.constraints
        output: PartOutput = forward(features, with_entropy=weights.needs_entropy)
        terms = {"cross_entropy": share * _cross_entropy(output.logits, labels, settings)}
        terms |= constraint_terms(model, features, output, weights, share)
    return torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()}


def constraint_terms(
    model: PartClassifier,
    features: Tensor,
    output: PartOutput,
    weights: ConstraintWeights,
    share: float = 1.0,
) -> dict[str, Tensor]:
    """The constraints with a weight above 0, each times its weight; of no images the same terms."""
    terms = {}
    if weights.orthogonality:
        terms["orthogonality"] = weights.orthogonality * orthogonality(model.parts)
    if weights.assignment:
        if output.entropy is None:
            raise ValueError(
                "output: has no entropy for the assignment; call the model with with_entropy=True"
            )
        terms["assignment"] = weights.assignment * share * assignment(output.entropy)
    if weights.class_specificity:
        value = class_specificity(
            model.classifier.weight, model.parts_per_class, weights.class_specificity_mode
        )
        terms["class_specificity"] = weights.class_specificity * value
    if weights.balance:
        terms["balance"] = weights.balance * assignment_balance(model.similarity(features), model.temperature)
    return terms


def _cross_entropy(logits: Tensor, labels: Tensor, settings: TrainingSettings) -> Tensor:
    """Mean over the images here; a process without images gets a zero that still reaches the parameters."""
    if not len(labels):
        return logits.sum()
    return F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
