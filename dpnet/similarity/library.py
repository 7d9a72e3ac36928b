"""The compiled library dpnet._C: where it is, whether it loads, and if not, why."""

from __future__ import annotations

import importlib.machinery
import json
from pathlib import Path

import torch

PACKAGE = Path(__file__).resolve().parents[1]
SUFFIXES = (".abi3.so", *importlib.machinery.EXTENSION_SUFFIXES)


def build_facts() -> dict[str, str | None]:
    """What the library was built with: torch, python, cuda, architectures. Empty where it is not built."""
    record = PACKAGE / "_C.json"
    return json.loads(record.read_text()) if record.exists() else {}


def load_failure(path: Path) -> str:
    """Load a library; "" on success, else a message with the PyTorch it was built with and the running one."""
    try:
        torch.ops.load_library(path)
    except (OSError, RuntimeError) as error:
        built = build_facts().get("torch") or "an unknown version"
        cause = str(error).splitlines()[0]
        return f"{path.name} was built with PyTorch {built}, does not load in {torch.__version__}: {cause}"
    return ""


def _load() -> str:
    path = next((p for p in (PACKAGE / f"_C{suffix}" for suffix in SUFFIXES) if p.exists()), None)
    if path is None:
        return "dpnet._C is not built; install a C++ compiler, then `pip install --no-build-isolation -e .`"
    return load_failure(path)


def cpu_instructions() -> str:
    """The vector instructions that the C++ loops use here: avx512 (then +bf16, +vnni), avx2 or baseline."""
    instructions: str = torch.ops.dpnet_kernels.cpu_instructions()
    return instructions


LOAD_ERROR = _load()
"""Why the library cannot be used, or "" when it is loaded and its operations are registered."""

HAS_CUDA = not LOAD_ERROR and torch._C._dispatch_has_kernel_for_dispatch_key("dpnet_kernels::forward", "CUDA")
"""Whether the library holds the CUDA kernels."""
