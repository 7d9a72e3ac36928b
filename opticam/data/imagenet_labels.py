"""Class ids of ImageNet pictures, read from a two-column text file."""

from __future__ import annotations

import csv
from pathlib import Path, PurePosixPath


def read_labels(path: str | Path) -> dict[str, int]:
    """Class id by picture name without folder and suffix, in the order of the file.

    `path`: lines "file,label", with a header line, whose first word has no suffix, or without; further columns do not
    matter. This covers
    wsolevaluation's class_labels.txt and the authors' revisited_imagenet_2012_val.csv.

    The text is UTF-8, with a byte-order mark or without. Raises `FileNotFoundError` when there is no such file,
    `ValueError` when it is no such text, a line does not fit or a picture comes with two classes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"labels: no file {str(path)!r}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [row for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"labels: {str(path)!r} is no text in UTF-8: {error}") from None
    if rows and not (PurePosixPath(rows[0][0]).suffix or _has_label(rows[0])):
        rows = rows[1:]
    labels: dict[str, int] = {}
    for row in rows:
        name, label = _parse(row, path)
        if labels.setdefault(name, label) != label:
            raise ValueError(f"labels: {str(path)!r} gives two classes to {name}")
    if not labels:
        raise ValueError(f"labels: {str(path)!r} holds no line 'file,label'")
    return labels


def _parse(row: list[str], path: Path) -> tuple[str, int]:
    if not _has_label(row):
        raise ValueError(f"labels: {str(path)!r} must hold lines 'file,label', got {','.join(row)!r}")
    return PurePosixPath(row[0].strip()).stem, int(row[1])


def _has_label(row: list[str]) -> bool:
    return len(row) > 1 and row[1].strip().isdecimal()
