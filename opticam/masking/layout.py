"""How images lie in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def layout(images: Tensor) -> torch.memory_format:
    """channels_last for images stored so, else contiguous: the layout of the masked images."""
    last = torch.channels_last
    is_last = images.is_contiguous(memory_format=last) and not images.is_contiguous()
    return last if is_last else torch.contiguous_format
