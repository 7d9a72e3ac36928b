"""Class ids for ImageNet validation pictures, from the files that ImageNet itself comes with."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opticam.data.pictures import opened

CLASSES, PICTURES = 1000, 50_000
PICTURE = re.compile(r"ILSVRC2012_val_(\d{8})")
SYNSET = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Inventory:
    """What a folder of pictures holds: how many, bytes, of how many classes, and the digest of the list of names.

    problems: why it is not the validation set whole; empty where it is.
    """

    pictures: int
    bytes: int
    classes: int
    digest: str
    problems: tuple[str, ...]


def label_pictures(
    files: Mapping[str, Path], synsets: Path | None = None, devkit: Path | None = None
) -> dict[str, int]:
    """Class id, 0 to 999 in the order of the sorted WordNet ids as networks count them, by picture name.

    files: picture name -> file, as `opticam.data.imagenet.find_images` gives them; either in one folder per class named
    by its WordNet id, or flat with ImageNet's names. synsets: a text file whose lines begin with a WordNet id, either
    all 1000 classes, or one line for each of the 50,000 pictures in the order of their numbers. devkit: the folder
    of ILSVRC2012_devkit_t12. Flat folders need one of the two; of class folders, synsets must name all 1000 unless
    they are all there. Raises ValueError, naming the argument, and FileNotFoundError.
    """
    foldered = {name: path.parent.name for name, path in files.items() if SYNSET.fullmatch(path.parent.name)}
    if len(foldered) == len(files):
        return _by_rank(foldered, _classes(synsets) if synsets else foldered.values())
    if foldered:
        raise ValueError(
            f"val: {len(foldered)} of {len(files)} pictures lie in folders of a class, the others do not"
        )
    numbers = {name: _number(name) for name in files}
    if devkit is not None:
        truth, words = _devkit(devkit)
        return _by_rank({name: words[truth[number - 1]] for name, number in numbers.items()}, words.values())
    if synsets is None:
        raise ValueError(
            "val: the pictures lie in one folder; give --devkit or --synsets, which know their classes"
        )
    lines = _synset_lines(synsets)
    if len(lines) != PICTURES:
        raise ValueError(
            f"synsets: {str(synsets)!r} has {len(lines)} lines; pictures in one folder need {PICTURES}, one each"
        )
    return _by_rank({name: lines[number - 1] for name, number in numbers.items()}, lines)


def take_stock(files: Mapping[str, Path], labels: Mapping[str, int]) -> Inventory:
    """Count and check the pictures; each must open. Raises ValueError that names the first ones that do not."""
    broken = [name for name, path in files.items() if not _opens(path)]
    if broken:
        raise ValueError(f"val: {len(broken)} pictures cannot be read, for example {', '.join(broken[:3])}")
    per_class = Counter(labels.values())
    problems = []
    if len(files) != PICTURES:
        problems.append(f"{len(files):,} pictures instead of {PICTURES:,}")
    if len(per_class) != CLASSES:
        problems.append(f"{len(per_class)} classes instead of {CLASSES}")
    if not problems and set(per_class.values()) != {PICTURES // CLASSES}:
        problems.append(
            f"between {min(per_class.values())} and {max(per_class.values())} pictures of a class, not 50"
        )
    digest = names_digest(files)
    if not problems and digest != names_digest(
        f"ILSVRC2012_val_{number:08d}" for number in range(1, PICTURES + 1)
    ):
        problems.append("other names than ImageNet's")
    size = sum(path.stat().st_size for path in files.values())
    return Inventory(len(files), size, len(per_class), digest, tuple(problems))


def names_digest(names: Iterable[str]) -> str:
    """SHA-256 of the sorted names, one in a line."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def _by_rank(synset_of: Mapping[str, str], synsets: Iterable[str]) -> dict[str, int]:
    order = sorted(set(synsets))
    if len(order) != CLASSES:
        raise ValueError(
            f"synsets: {len(order)} classes are known, expected {CLASSES}; give --synsets with all of them"
        )
    rank = {synset: place for place, synset in enumerate(order)}
    unknown = sorted(set(synset_of.values()) - set(order))
    if unknown:
        raise ValueError(f"synsets: {', '.join(unknown[:3])} are not among the {CLASSES}")
    return {name: rank[synset] for name, synset in synset_of.items()}


def _classes(path: Path) -> list[str]:
    return sorted(set(_synset_lines(path)))


def _synset_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"synsets: no file {str(path)!r}")
    words = [
        line.split(maxsplit=1)[0]
        for line in path.read_text(encoding="utf-8-sig").splitlines()
        if line.strip()
    ]
    wrong = next((word for word in words if not SYNSET.fullmatch(word)), None)
    if wrong is not None:
        raise ValueError(f"synsets: lines of {str(path)!r} must begin with an id as n01440764, got {wrong!r}")
    return words


def _number(name: str) -> int:
    found = PICTURE.match(name)  # class folders of some copies add the class behind the number
    if not found or not 1 <= int(found[1]) <= PICTURES:
        raise ValueError(f"val: {name!r} is not named as ILSVRC2012_val_00000001 to {PICTURES:08d}")
    return int(found[1])


def _devkit(folder: Path) -> tuple[list[int], dict[int, str]]:
    """The challenge's class number of each picture, and the WordNet id of each number."""
    from scipy.io import loadmat  # here: it takes a second

    truth_file = next(folder.rglob("ILSVRC2012_validation_ground_truth.txt"), None)
    meta_file = next(folder.rglob("meta.mat"), None)
    if truth_file is None or meta_file is None:
        raise FileNotFoundError(
            f"devkit: {str(folder)!r} holds no ILSVRC2012_validation_ground_truth.txt or no meta.mat"
        )
    truth = [int(line) for line in truth_file.read_text().split()]
    synsets = loadmat(meta_file, squeeze_me=True)["synsets"]
    words = {int(number): str(word) for number, word in zip(synsets["ILSVRC2012_ID"], synsets["WNID"])}
    words = {
        number: word for number, word in words.items() if number <= CLASSES
    }  # others are their hypernyms
    if len(truth) != PICTURES or len(words) != CLASSES:
        raise ValueError(
            f"devkit: has {len(truth)} pictures and {len(words)} classes, expected {PICTURES} and {CLASSES}"
        )
    return truth, words


def _opens(path: Path) -> bool:
    try:
        with opened(path):
            return True
    except (FileNotFoundError, ValueError):
        return False
