"""Measures of a saliency map."""

from opticam.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    faithfulness,
    faithfulness_scores,
    target_probability,
)

__all__ = [
    "average_drop",
    "average_gain",
    "average_increase",
    "faithfulness",
    "faithfulness_scores",
    "target_probability",
]
