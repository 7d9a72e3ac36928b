"""Object boxes of ImageNet pictures, read from each format in which they are published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pandas as pd
import torch
from torch import Tensor


class ObjectBoxes(NamedTuple):
    """The boxes of one picture.

    boxes: float32 [n, 4], (x1, y1, x2, y2) in pixels of the annotated picture. size: width and height of that
    picture where the source states them, otherwise None: then it is the picture itself.
    """

    boxes: Tensor
    size: tuple[int, int] | None


def read_boxes(path: str | Path) -> dict[str, ObjectBoxes]:
    """Boxes by picture name without folder and suffix, such as "ILSVRC2012_val_00000001".

    `path` is one of: the official folder of XML files (ILSVRC2012_bbox_val_v3, also with an inner `val`
    folder); Kaggle's LOC_val_solution.csv; a folder with wsolevaluation's localization.txt and, if it is
    there, image_sizes.txt; a CSV file whose header names file, x1, y1, x2, y2 and, if known, orig_w, orig_h.

    Raises `FileNotFoundError` when `path` does not exist, `ValueError` when it is none of these, or a box has
    corners that are no numbers or in the wrong order.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"boxes: no file or folder {str(path)!r}")
    try:
        found = _read(path)
    except (
        ValueError,
        AttributeError,
        KeyError,
    ) as error:  # what pandas raises where cells are missing or no numbers
        known = str(error).startswith("boxes: ")
        raise ValueError(str(error) if known else f"boxes: {str(path)!r} cannot be read: {error}") from None
    for name, (boxes, _) in found.items():
        if not boxes.isfinite().all() or (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError(
                f"boxes: those of {name} in {str(path)!r} must be finite x1 <= x2, y1 <= y2, got {boxes.tolist()}"
            )
    return found


def _read(path: Path) -> dict[str, ObjectBoxes]:
    if path.is_dir():
        return _read_folder(path)
    columns = pd.read_csv(path, nrows=0).columns
    if {"ImageId", "PredictionString"} <= set(columns):
        return read_kaggle_boxes(path)
    if {"file", "x1", "y1", "x2", "y2"} <= set(columns):
        return read_csv_boxes(path)
    raise ValueError(
        f"boxes: the first line of {str(path)!r} must name ImageId, PredictionString or "
        f"file, x1, y1, x2, y2, got {list(columns)}"
    )


def read_xml_boxes(folder: str | Path) -> dict[str, ObjectBoxes]:
    """Boxes from the official annotation files, one XML file per picture, in any depth of folders."""
    return {file.stem: _parse_xml(file) for file in sorted(Path(folder).rglob("*.xml"))}


def read_kaggle_boxes(file: str | Path) -> dict[str, ObjectBoxes]:
    """Boxes from LOC_val_solution.csv: "ImageId,PredictionString", five words a box: synset x1 y1 x2 y2."""
    table = pd.read_csv(file, dtype=str)
    return {
        row.ImageId: ObjectBoxes(_parse_prediction(row.ImageId, row.PredictionString), None)
        for row in table.itertuples()
    }


def read_wsol_boxes(folder: str | Path) -> dict[str, ObjectBoxes]:
    """Boxes from wsolevaluation: localization.txt (file,x1,y1,x2,y2), image_sizes.txt (file,width,height)."""
    folder = Path(folder)
    table = pd.read_csv(folder / "localization.txt", names=["file", "x1", "y1", "x2", "y2"])
    sizes_file = folder / "image_sizes.txt"
    if not sizes_file.is_file():
        return _group(table)
    sizes = pd.read_csv(sizes_file, names=["file", "orig_w", "orig_h"])
    return _group(table.merge(sizes, on="file", how="left", validate="many_to_one"))


def read_csv_boxes(file: str | Path) -> dict[str, ObjectBoxes]:
    """Boxes from a CSV file: file, x1, y1, x2, y2 and, if known, orig_w, orig_h, the annotated size."""
    return _group(pd.read_csv(file))


def _read_folder(folder: Path) -> dict[str, ObjectBoxes]:
    if (folder / "localization.txt").is_file():
        return read_wsol_boxes(folder)
    boxes = read_xml_boxes(folder)
    if not boxes:
        raise ValueError(f"boxes: folder {str(folder)!r} holds neither XML files nor localization.txt")
    return boxes


def _parse_xml(file: Path) -> ObjectBoxes:
    try:
        root = ElementTree.parse(file).getroot()
        boxes = [
            [float(box.findtext(end, "")) for end in ("xmin", "ymin", "xmax", "ymax")]
            for box in root.iter("bndbox")
        ]
        size = _stated_size(root.findtext("size/width", ""), root.findtext("size/height", ""))
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise ValueError(f"boxes: {str(file)!r} is not an ImageNet annotation: {error}") from error
    return ObjectBoxes(torch.tensor(boxes).reshape(-1, 4), size)


def _parse_prediction(picture: str, prediction: str) -> Tensor:
    words = prediction.split()
    if not words or len(words) % 5:
        raise ValueError(f"boxes: PredictionString of {picture} must hold five words a box, got {len(words)}")
    return torch.tensor([[float(word) for word in words[i + 1 : i + 5]] for i in range(0, len(words), 5)])


def _stated_size(width: str | float, height: str | float) -> tuple[int, int] | None:
    """The annotated size; sources write 0 where they do not know it."""
    size = int(width), int(height)
    return size if min(size) > 0 else None


def _group(table: pd.DataFrame) -> dict[str, ObjectBoxes]:
    table = table.assign(name=_stems(table["file"]))
    return dict(_grouped(table))


def _grouped(table: pd.DataFrame) -> Iterator[tuple[str, ObjectBoxes]]:
    corners = torch.from_numpy(table[["x1", "y1", "x2", "y2"]].to_numpy("float32", copy=True))
    sizes = table[["orig_w", "orig_h"]].to_numpy() if "orig_w" in table else None
    for name, rows in table.groupby("name", sort=False).indices.items():
        yield name, ObjectBoxes(corners[rows], None if sizes is None else _stated_size(*sizes[rows[0]]))


def _stems(files: pd.Series) -> pd.Series:
    return files.str.rsplit("/", n=1).str[-1].str.rsplit(".", n=1).str[0]
