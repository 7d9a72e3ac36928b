"""Loads the compiled library, which registers the C++ implementations for the CPU."""

from __future__ import annotations

from pathlib import Path

import torch

PACKAGE = Path(__file__).resolve().parents[1]


def load() -> str:
    """Load opticam/_C; return "" on success, else why not."""
    candidates = sorted(path for end in ("so", "pyd", "dylib") for path in PACKAGE.glob(f"_C.*{end}"))
    if not candidates:
        return "the C++ library is not built: run `pip install .` or `python setup.py build_ext --inplace`"
    try:
        torch.ops.load_library(candidates[0])
    except (OSError, RuntimeError) as error:
        return f"{candidates[0].name} does not load with torch {torch.__version__}: {error}"
    return ""
