"""What the methods that run Captum share: its import, its randomness, and scores of one image's variants."""

# ruff: noqa: NPY002 -- Captum draws from NumPy's global generator
from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

import numpy as np
import torch

from opticam.saliency.targets import ClassScore, Score


def captum_is_installed() -> bool:
    """Whether the optional dependency is there."""
    return importlib.util.find_spec("captum") is not None


def captum_attr(method: str) -> ModuleType:
    """The module `captum.attr`; ImportError that tells how to install it."""
    try:
        import captum.attr
    except ImportError:
        raise ImportError(f"{method} runs Captum, which is not installed: pip install captum") from None
    attr: ModuleType = captum.attr
    return attr


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Fixed random numbers inside, for PyTorch and NumPy; both generators go on as if nothing had been drawn."""
    numpy_state = np.random.get_state()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            np.random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)


def score_variants_of(score: Score, logits: torch.Tensor, index: int, batch: int) -> torch.Tensor:
    """Scores [n] of the logits [n,C] of n variants of image `index` of a batch."""
    if isinstance(score, ClassScore):
        return replace(score, ids=score.ids[index].expand(len(logits)))(logits)
    return torch.stack([score(variant.expand(batch, -1))[index] for variant in logits])
