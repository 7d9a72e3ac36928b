"""The compiled library _C of a package: what it was built with, whether it loads, and if not, why."""

from __future__ import annotations

import importlib.machinery
import json
from pathlib import Path

import torch

SUFFIXES = (".abi3.so", *importlib.machinery.EXTENSION_SUFFIXES)


def load(package: Path) -> str:
    """Load the library in a package's folder, which registers its operations; "" on success, else why not."""
    path = next((p for p in (package / f"_C{suffix}" for suffix in SUFFIXES) if p.exists()), None)
    if path is None:
        return f"{package.name}._C is not built; install a C++ compiler, then `pip install --no-build-isolation -e .`"
    try:
        torch.ops.load_library(path)
    except (OSError, RuntimeError) as error:
        built = build_facts(package).get("torch") or "an unknown version"
        cause = str(error).splitlines()[0]
        return f"{path.name} was built with PyTorch {built}, does not load in {torch.__version__}: {cause}"
    return ""


def build_facts(package: Path) -> dict[str, str | None]:
    """What the library was built with: torch, python, cuda, architectures. Empty where it is not built."""
    record = package / "_C.json"
    return json.loads(record.read_text()) if record.exists() else {}
