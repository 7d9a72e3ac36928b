"""Cache files: tensors with text beside them in one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], notes: dict[str, str]) -> None:
    """Write tensors and notes to ``path``, making its folder; an interrupted call leaves no file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, notes)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and notes of a file that ``save_tensors`` wrote; raises ``ValueError`` if it is damaged."""
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in list(file.keys())}, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"cache file {path} is damaged ({error}); delete it to have it made again"
        ) from error
