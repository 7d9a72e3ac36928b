"""Files written whole or not at all, and tensors with text beside them in one safetensors file."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

_MACHINE = platform.node()
"""Named in temporary files beside the process: several machines may share a folder."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to, its folder made; the file takes its place at the end, synchronised to disk.

    Where the block fails nothing is left of it, and a file that was there before stays. What a killed process has left
    goes when another one of the same machine writes into the folder. What the machine refuses is an ``OSError``,
    whatever library wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_leftovers(path.parent)
    # Not tempfile's: a file replaces another in one step only from the same folder.
    temporary = path.with_name(f"{path.name}.{_MACHINE}.{os.getpid()}.part")
    try:
        temporary.touch()
        mode = (
            temporary.stat().st_mode & 0o777
        )  # what the umask leaves; libraries may write files of mode 0600
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        if not path.parent.is_dir():
            raise OSError(f"{path.parent} was removed while {path.name} was written") from error
        if isinstance(error, OSError):
            raise
        raise OSError(f"{path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


@lru_cache  # a folder may hold many files
def _drop_leftovers(folder: Path) -> None:
    """Remove the temporary files of this machine's processes that are no more."""
    for path in folder.glob(f"*.{_MACHINE}.*.part"):
        process = path.suffixes[-2].removeprefix(".")
        if process.isdecimal() and not _lives(int(process)):
            with suppress(OSError):  # it is in nobody's way
                path.unlink()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def check_writable(folder: Path) -> None:
    """Make a folder, and see that files can be written into it; an ``OSError`` that names it where they cannot."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder):
        pass


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 to ``path``, as `whole_file` does."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], notes: dict[str, str] | None = None) -> None:
    """Write tensors and notes to ``path``, as `whole_file` does."""
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as temporary:
        save_file(contiguous, temporary, notes)


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and notes of a file that ``save_tensors`` wrote.

    Raises ``ValueError`` if it is damaged, ``OSError`` if it is missing or may not be read.
    """
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}, dict(file.metadata() or {})


def load_notes(path: Path) -> dict[str, str]:
    """The notes of a file alone, its tensors unread; raises as ``load_tensors`` does."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A file of tensors, to be read."""
    with path.open("rb"):  # safetensors says of a file that it may not read that there is none
        pass
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except SafetensorError as error:
        raise ValueError(
            f"cache file {path} is damaged ({error}); delete it to have it made again"
        ) from error
