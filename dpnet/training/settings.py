"""What a training run depends on besides the model and the features."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from dpnet.model.constraints import CLASS_SPECIFICITY_MODES

SEEDS = range(2**63)  # what PyTorch's generators take, without those that stand for others
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass(frozen=True)
class ConstraintWeights:
    """Weights of the constraints in the loss; 0 leaves a constraint out.

    loss = cross entropy + orthogonality C_perp + assignment C_Assign + class_specificity CS + balance (the
    last one is not in the slides). The paper's weights are unknown; `ConstraintWeights.named` gives this
    project's. Raises ValueError for a negative weight or an unknown mode.
    """

    orthogonality: float = 0.0
    assignment: float = 0.0
    class_specificity: float = 0.0
    balance: float = 0.0
    class_specificity_mode: str = "abs"

    def __post_init__(self) -> None:
        for name in ("orthogonality", "assignment", "class_specificity", "balance"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; a weight must be finite and not negative")
        if self.class_specificity_mode not in CLASS_SPECIFICITY_MODES:
            accepted = ", ".join(CLASS_SPECIFICITY_MODES)
            raise ValueError(
                f"class_specificity_mode is {self.class_specificity_mode!r}; accepted: {accepted}"
            )

    @classmethod
    def named(cls, *names: str) -> ConstraintWeights:
        """The default weights of the constraints listed (keys of ``DEFAULT_WEIGHTS``), 0 for the others."""
        for name in names:
            if name not in DEFAULT_WEIGHTS:
                raise ValueError(f"constraint {name!r} is unknown; accepted: {', '.join(DEFAULT_WEIGHTS)}")
        weights: dict[str, Any] = {name: DEFAULT_WEIGHTS[name] for name in names}
        return cls(**weights)

    @property
    def needs_entropy(self) -> bool:
        """Whether the loss reads the assignment entropy."""
        return self.assignment > 0


# C_perp and CS are means over P^2 and P (C-1) terms, small from the start: they need large weights.
DEFAULT_WEIGHTS = {"orthogonality": 100.0, "assignment": 0.1, "class_specificity": 10.0, "balance": 0.1}


@dataclass(frozen=True)
class TrainingSettings:
    """How to train: Adam with a cosine decay over all steps, on frozen features.

    ``precision`` is the dtype of the features and of the part layer; parameters, V and the loss stay float32,
    but for "float64": there all is float64 while it trains, so that rounding, which differs from machine to
    machine and which the steps amplify, stays below what a float32 parameter can tell.
    ``diagnose_after`` is the epoch after which `dpnet.training.diagnostics` looks for a run that will not work.
    Raises ValueError for a value out of range.
    """

    epochs: int = 60
    batch_size: int = 64
    learning_rate_parts: float = 1e-3
    learning_rate_classifier: float = 1e-3
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    seed: int = 0
    precision: str = "float32"
    constraints: ConstraintWeights = field(default_factory=ConstraintWeights)
    diagnose_after: int = 3

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs {self.epochs} and batch_size {self.batch_size} must be at least 1")
        for name in ("learning_rate_parts", "learning_rate_classifier", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be finite and not negative")
        if not 0 <= self.label_smoothing <= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be in [0,1]")
        if self.seed not in SEEDS:
            raise ValueError(f"seed is {self.seed}; it must be in [0, 2^63)")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {self.precision!r}; accepted: {', '.join(PRECISIONS)}")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype features are cast to."""
        return PRECISIONS[self.precision]

    def with_seed(self, seed: int) -> TrainingSettings:
        """The same settings under another seed."""
        return replace(self, seed=seed)

    def with_constraints(self, constraints: ConstraintWeights) -> TrainingSettings:
        """The same settings with other constraints."""
        return replace(self, constraints=constraints)

    def as_dict(self) -> dict[str, Any]:
        """A plain dictionary for records and checkpoints."""
        return asdict(self)
