"""The C++ implementations for the CPU, which the compiled library registers when it is loaded."""

from __future__ import annotations

from pathlib import Path

import torch

from opticam import compiled

PACKAGE = Path(__file__).resolve().parents[1]


def load() -> str:
    """Load opticam/_C; return "" on success, else why not."""
    return compiled.load(PACKAGE)


def instructions() -> str:
    """The vector instructions that the C++ loops use here: AVX-512, AVX2 or baseline."""
    name: str = torch.ops.opticam.instruction_set()
    return name
