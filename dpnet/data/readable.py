"""Leave out the pictures that cannot be read, before any work starts; what was found is kept beside the features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from dpnet.data.leakage import combined_hash
from dpnet.data.pictures import PictureData, PictureSet
from opticam.data.files import write_text


def readable(
    data: PictureData, cache_dir: Path, *, workers: int = 0, progress: bool = False
) -> tuple[PictureData, dict[Path, str]]:
    """The data set without the pictures that cannot be read, and the reason for each of these, by file.

    Every picture is read once, by ``workers`` processes, or by this one where 0; a file of the reasons is kept for
    each split, and later calls try only those again that it names. Pictures that are drawn need none of this. Raises
    ValueError where no test picture, or no training picture of a class, is left.
    """
    reasons: dict[Path, str] = {}
    sets = {"train": data.train, "test": data.test}
    for split, pictures in sets.items():
        if isinstance(pictures, PictureSet):
            read = f"{split}-{pictures.resize}-{pictures.size}-{combined_hash(pictures.hashes)}"
            record = Path(cache_dir) / f"unreadable-{read}.json"
            found = _unreadable(pictures, record, workers, progress)
            reasons |= {pictures.paths[position]: reason for position, reason in found.items()}
            if len(found) == len(pictures):
                raise ValueError(
                    f"data: no picture of the {split} split can be read: {reasons[pictures.paths[0]]}"
                )
            sets[split] = pictures.without(found)
    return PictureData(data.name, **sets), reasons


def _unreadable(pictures: PictureSet, record: Path, workers: int, progress: bool) -> dict[int, str]:
    """Position and reason of each picture that cannot be read, written to ``record``."""
    before = _recorded(record)
    tried = range(len(pictures)) if before is None else sorted(before)
    reading = DataLoader(_Reading(pictures, tried), batch_size=None, num_workers=workers)
    bar = tqdm(reading, desc="pictures", unit="picture", disable=not progress or before is not None)
    found = {position: reason for position, reason in zip(tried, bar) if reason}
    if found != before:
        write_text(record, json.dumps(found, indent=2) + "\n")
    return found


def _recorded(record: Path) -> dict[int, str] | None:
    """What `_unreadable` wrote; None where there is nothing."""
    if not record.exists():
        return None
    try:
        return {
            int(position): str(reason) for position, reason in json.loads(record.read_text("utf-8")).items()
        }
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"{record} cannot be read: {error}; remove it to have the pictures tried again"
        ) from None


class _Reading(Dataset[str]):
    """Reads some pictures of a set; an item is the reason why that is not possible, "" where it is."""

    def __init__(self, pictures: PictureSet, positions: Sequence[int]) -> None:
        self.pictures, self.positions = pictures, positions

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> str:
        try:
            self.pictures[self.positions[index]]
        except ValueError as error:
            return str(error).removeprefix("photo: ")
        return ""
