"""What lies in a folder of tables and figures: made of which inputs, by which commit."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opticam.data.files import whole_file

NAME = ".drawn.json"


@dataclass(frozen=True)
class Entry:
    """Files of one experiment and kind, relative to the folder, with the hash of their inputs and the commit."""

    digest: str
    commit: str
    files: tuple[str, ...]


class Drawn:
    """The record of a folder, kept in a hidden file there; a missing or damaged one means nothing is current."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.read()

    def read(self) -> None:
        """Take what is in the file, where other processes write, too."""
        try:
            content = json.loads((self.folder / NAME).read_text(encoding="utf-8"))
            self._entries = {name: Entry(**{**e, "files": tuple(e["files"])}) for name, e in content.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            self._entries = {}

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
        return self._entries.get(f"{name} {kind}")

    def record(self, name: str, kind: str, digest: str, commit: str, files: Iterable[Path]) -> None:
        """Write down what was just made."""
        relative = tuple(file.relative_to(self.folder).as_posix() for file in files)
        self._entries[f"{name} {kind}"] = Entry(digest, commit, relative)
        content = {key: vars(entry) for key, entry in sorted(self._entries.items())}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        with whole_file(self.folder / NAME) as temporary:  # another process may be reading it
            temporary.write_text(text + "\n", encoding="utf-8")
