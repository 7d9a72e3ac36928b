"""One hash of all that tables, figures and report are made of, to tell whether those on disk are up to date."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from reproduce.workspace import provenance
from reproduce.workspace.paths import FIRST_LOOK, ROOT
from reproduce.workspace.workspace import Workspace

CODE = ("reproduce", "opticam", "dpnet")
SUFFIXES = (".py", ".csv", ".toml", ".css", ".js")
NOT_READ = ("maps", "tables", provenance.NAME)
"""Folders of results that lead to no other hash: maps are made from what is hashed, the others are outputs."""


def inputs_digest(workspace: Workspace) -> str:
    """Changes with any stored result, any file beside the store, the profile, and any line of code."""
    given = workspace.profile, workspace.profile.limit, workspace.real, workspace.parts_input
    digest = hashlib.sha256(repr(given).encode())
    for row in workspace.store.content(workspace.profile.name):
        digest.update(repr(row).encode())
    for path in _beside_the_store(workspace.results):
        status = path.stat()
        digest.update(f"{path.relative_to(workspace.results)} {status.st_size} {status.st_mtime_ns}".encode())
    files = (
        path for folder in CODE for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES
    )
    return file_digest(files, digest.hexdigest())


def file_digest(paths: Iterable[Path], start: str = "") -> str:
    """Hash of the names and contents of files, after `start`."""
    digest = hashlib.sha256(start.encode())
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def _is_read(path: Path) -> bool:
    return path.is_dir() and path.name not in NOT_READ and not path.name.startswith(FIRST_LOOK)


def _beside_the_store(results: Path) -> list[Path]:
    """What figures read beside the store, such as kept pictures and trained part models."""
    folders = (path for path in sorted(results.iterdir()) if _is_read(path))
    return [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
