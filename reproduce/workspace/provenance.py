"""What lies in a folder of tables and figures: made of which inputs, by which commit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opticam.data.files import write_text

NAME = ".drawn"


@dataclass(frozen=True)
class Entry:
    """Files of one experiment and kind, relative to the folder, with the hash of their inputs and the commit."""

    digest: str
    commit: str
    files: tuple[str, ...]


class Drawn:
    """The record of a folder, in a hidden folder there; what it lacks, or cannot be read of it, is not current.

    Each experiment and kind has a file of its own, so that processes that share the work need not wait to record it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def current(self, name: str, kind: str, digest: str) -> bool:
        """Whether the files of an experiment and kind are there and made of these inputs."""
        entry = self.entry(name, kind)
        return (
            entry is not None
            and entry.digest == digest
            and all((self.folder / file).is_file() for file in entry.files)
        )

    def entry(self, name: str, kind: str) -> Entry | None:
        """What was recorded last."""
        try:
            content = json.loads(self._file(name, kind).read_text(encoding="utf-8"))
            return Entry(content["digest"], content["commit"], tuple(content["files"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def record(self, name: str, kind: str, digest: str, commit: str, files: Iterable[Path]) -> None:
        """Write down what was just made."""
        relative = tuple(file.relative_to(self.folder).as_posix() for file in files)
        text = json.dumps(vars(Entry(digest, commit, relative)), indent=1, ensure_ascii=False)
        write_text(self._file(name, kind), text + "\n")  # whole: another process may be reading it

    def _file(self, name: str, kind: str) -> Path:
        return self.folder / NAME / f"{name}-{kind}.json"
