"""`python -m reproduce prepare imagenet`: labels and boxes of the validation pictures, checked and in our form."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from opticam.data.files import whole_file
from opticam.data.imagenet import find_images
from opticam.data.imagenet_boxes import ObjectBoxes, read_boxes
from opticam.data.imagenet_preparation import label_pictures, take_stock

SETS = ("imagenet",)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The set, where it is, and where the files go."""
    parser.add_argument("what", choices=SETS, help="the data set")
    parser.add_argument(
        "--val", type=Path, required=True, help="folder of the pictures, flat or one folder a class"
    )
    parser.add_argument("--devkit", type=Path, help="folder of ILSVRC2012_devkit_t12")
    parser.add_argument(
        "--synsets", type=Path, help="file of WordNet ids: the 1000 classes, or one for each picture"
    )
    parser.add_argument("--boxes", type=Path, help="ILSVRC2012_bbox_val_v3, LOC_val_solution.csv, ...")
    parser.add_argument("--output", type=Path, required=True, help="folder for labels.csv and boxes.csv")


def run(options: argparse.Namespace) -> int:
    """Write labels.csv and, given boxes, boxes.csv; say what was found and how to go on."""
    files = find_images(options.val)
    labels = label_pictures(files, options.synsets, options.devkit)
    found = take_stock(files, labels)
    annotations = read_boxes(options.boxes) if options.boxes else {}
    if annotations and annotations.keys().isdisjoint(files):
        raise ValueError(f"boxes: {str(options.boxes)!r} holds boxes of none of the pictures")
    options.output.mkdir(parents=True, exist_ok=True)
    _write(pd.DataFrame(sorted(labels.items()), columns=["file", "label"]), options.output / "labels.csv")
    if annotations:
        _write(_table(annotations, files), options.output / "boxes.csv")
    print(
        f"{found.pictures:,} pictures of {found.classes} classes, {found.bytes / 1e9:.1f} GB, names {found.digest[:16]}"
    )
    if annotations:
        print(f"boxes of {len(annotations.keys() & files.keys()):,} of them")
    for problem in found.problems:
        print(f"not the validation set whole: {problem}; no figure from it is one of ImageNet's")
    boxes = f" --boxes {options.output / 'boxes.csv'}" if annotations else ""
    given = f"--profile imagenet --images {options.val} --labels {options.output / 'labels.csv'}{boxes}"
    print(f"what it takes: python -m reproduce plan {given}\nto run it: python -m reproduce run {given}")
    return 0


def _write(table: pd.DataFrame, path: Path) -> None:
    with whole_file(path) as temporary:
        table.to_csv(temporary, index=False)
    print(f"written {path}")


def _table(annotations: dict[str, ObjectBoxes], files: dict[str, Path]) -> pd.DataFrame:
    """One row per box; the size of the annotated picture where the source states it for all."""
    kept = {name: found for name, found in annotations.items() if name in files}
    rows = [
        (name, *corners, *(found.size or (None, None)))
        for name, found in kept.items()
        for corners in found.boxes.tolist()
    ]
    table = pd.DataFrame(rows, columns=["file", "x1", "y1", "x2", "y2", "orig_w", "orig_h"])
    return table if all(found.size for found in kept.values()) else table.drop(columns=["orig_w", "orig_h"])
