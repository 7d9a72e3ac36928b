"""Read the split files of MIT Indoor 67, CUB-200-2011 and ImageNet, and plain folders of classes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Pictures = list[tuple[Path, int]]
Splits = dict[str, Pictures]
Line = TypeVar("Line", str, int)

MIT67_SOURCE = "web.mit.edu/torralba/www/indoor.html (Images, TrainImages.txt, TestImages.txt)"
CUB200_SOURCE = "www.vision.caltech.edu/datasets/cub_200_2011 (CUB_200_2011.tgz)"
IMAGENET_SOURCE = (
    "image-net.org (ILSVRC2012; LOC_val_solution.csv from the Kaggle release, or val/WNID folders)"
)


def mit_indoor_67(folder: Path) -> tuple[Splits, list[str]]:
    """MIT Indoor 67: TrainImages.txt and TestImages.txt list CLASS/picture below Images/."""
    lists = {"train": folder / "TrainImages.txt", "test": folder / "TestImages.txt"}
    images = folder / "Images" if (folder / "Images").is_dir() else folder / "indoorCVPR_09" / "Images"
    _require([*lists.values(), images], MIT67_SOURCE)
    names = {split: path.read_text().split("\n") for split, path in lists.items()}
    names = {split: [line.strip() for line in lines if line.strip()] for split, lines in names.items()}
    classes = sorted({name.split("/")[0] for lines in names.values() for name in lines})
    number = {name: index for index, name in enumerate(classes)}
    splits = {
        s: [(images / name, number[name.split("/")[0]]) for name in lines] for s, lines in names.items()
    }
    return _checked(splits, MIT67_SOURCE), classes


def cub_200_2011(folder: Path) -> tuple[Splits, list[str]]:
    """CUB-200-2011: images.txt, image_class_labels.txt, train_test_split.txt and classes.txt."""
    files = {n: folder / f"{n}.txt" for n in ("images", "image_class_labels", "train_test_split", "classes")}
    _require([*files.values(), folder / "images"], CUB200_SOURCE)
    tables = {name: _numbered_lines(path) for name, path in files.items()}
    label_of = {number: label for label, number in enumerate(tables["classes"])}
    splits: Splits = {"train": [], "test": []}
    for number, name in tables["images"].items():
        training = _line(tables["train_test_split"], number, files["train_test_split"]) == "1"
        number_of_class = _line(tables["image_class_labels"], number, files["image_class_labels"])
        label = _line(label_of, number_of_class, files["classes"])
        splits["train" if training else "test"].append((folder / "images" / name, label))
    return _checked(splits, CUB200_SOURCE), list(tables["classes"].values())


def imagenet(folder: Path) -> tuple[Splits, list[str]]:
    """ImageNet: train/WNID/picture, and val/WNID/picture or val/picture with LOC_val_solution.csv."""
    train, val = folder / "train", folder / "val"
    _require([train, val], IMAGENET_SOURCE)
    splits: Splits = {}
    classes = _class_folders(train)
    splits["train"] = _pictures_of(train, classes)
    if _class_folders(val):
        _require_known(_class_folders(val), classes, val)
        splits["test"] = _pictures_of(val, classes)
        return splits, classes
    solution = folder / "LOC_val_solution.csv"
    _require([solution], IMAGENET_SOURCE)
    with open(solution, newline="") as file:
        rows = [(row["ImageId"], row["PredictionString"].split()[0]) for row in csv.DictReader(file)]
    _require_known([wnid for _, wnid in rows], classes, solution)
    splits["test"] = [(val / f"{image}.JPEG", classes.index(wnid)) for image, wnid in rows]
    return _checked(splits, IMAGENET_SOURCE), classes


def class_folders(folder: Path) -> tuple[Splits, list[str]]:
    """Any data set as train/CLASS/picture and test/CLASS/picture (or val/CLASS/picture)."""
    test = folder / "test" if (folder / "test").is_dir() else folder / "val"
    _require(
        [folder / "train", test], "your own pictures: train/CLASS/picture.jpg and test/CLASS/picture.jpg"
    )
    classes = _class_folders(folder / "train")
    _require_known(_class_folders(test), classes, test)
    return {"train": _pictures_of(folder / "train", classes), "test": _pictures_of(test, classes)}, classes


LAYOUTS: dict[str, Callable[[Path], tuple[Splits, list[str]]]] = {
    "mit67": mit_indoor_67,
    "cub200": cub_200_2011,
    "imagenet": imagenet,
    "folders": class_folders,
}


def detect_layout(folder: Path) -> str:
    """The layout a folder looks like, "folders" where nothing else fits."""
    if (folder / "TrainImages.txt").exists() or (folder / "TestImages.txt").exists():
        return "mit67"
    if (folder / "train_test_split.txt").exists() or (folder / "image_class_labels.txt").exists():
        return "cub200"
    return "imagenet" if (folder / "LOC_val_solution.csv").exists() else "folders"


def _require(paths: list[Path], source: str) -> None:
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"data: {path} is missing; it comes from {source}")


def _require_known(found: list[str], classes: list[str], where: Path) -> None:
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise ValueError(f"data: {where} has the class {unknown[0]!r}, of which there is no training picture")


def _line(table: dict[str, Line], number: str, path: Path) -> Line:
    """What a file of numbered lines says; ValueError for a number that it lacks."""
    if number not in table:
        raise ValueError(f"data: {path} has no line {number}")
    return table[number]


def _checked(splits: Splits, source: str) -> Splits:
    """The splits, once every picture they list is known to exist."""
    _require([path for pictures in splits.values() for path, _ in pictures], source)
    return splits


def _numbered_lines(path: Path) -> dict[str, str]:
    """Lines of "number text" as a dictionary; ValueError for a line without a text."""
    rows = [line.split(maxsplit=1) for line in path.read_text().splitlines() if line.strip()]
    if any(len(row) != 2 for row in rows):
        raise ValueError(f"data: {path} has a line that is not 'number text'")
    return {number: text.strip() for number, text in rows}


def _class_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not _hidden(path))


def _pictures_of(folder: Path, classes: list[str]) -> Pictures:
    """The pictures of each class; ValueError for one in a folder below, which would be left out silently."""
    found: Pictures = []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).glob("*")):
            if _is_picture(path):
                found.append((path, label))
            elif path.is_dir() and not _hidden(path):
                below = next(filter(_is_picture, path.rglob("*")), None)
                if below:
                    raise ValueError(
                        f"data: {below} is in a folder below its class; move it to {folder / name}"
                    )
    return found


def _is_picture(path: Path) -> bool:
    """Whether the name is that of a picture, and not of what macOS keeps beside one (._x.jpg)."""
    from torchvision.datasets.folder import IMG_EXTENSIONS  # here: torchvision takes seconds to load

    return path.suffix.lower() in IMG_EXTENSIONS and not _hidden(path)


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")
