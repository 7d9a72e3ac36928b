"""What to run at which size: a TOML file in `profiles/`, overridden by command-line options."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "profiles"
SOURCES = ("sample", "folder")


@dataclass(frozen=True)
class SaliencyProfile:
    """Images, networks and sizes of the Opti-CAM experiments.

    networks: network to explain -> the published network it stands beside. images: how many (None for all).
    """

    source: str
    networks: Mapping[str, str]
    batch_size: int
    iterations: int
    comparable: bool
    images: int | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"saliency.source: expected one of {SOURCES}, got {self.source!r}")
        if min(self.batch_size, self.images or 1) < 1 or self.iterations < 0:
            raise ValueError("saliency: batch_size and images must be positive, iterations not negative")


@dataclass(frozen=True)
class PartsProfile:
    """Data sets, backbones and sizes of the DP-Net experiments.

    datasets, backbones: name -> the published one it stands beside. seeds: how many runs of each model.
    """

    source: str
    datasets: Mapping[str, str]
    backbones: Mapping[str, str]
    constraint_datasets: tuple[str, ...]
    constraint_backbone: str
    seeds: int
    parts_per_class: int
    epochs: int
    batch_size: int
    comparable: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint_datasets", tuple(self.constraint_datasets))
        unknown = set(self.constraint_datasets) - set(self.datasets)
        if unknown or self.constraint_backbone not in self.backbones:
            raise ValueError("parts: constraint_datasets and constraint_backbone must be among the others")
        if min(self.seeds, self.parts_per_class, self.epochs, self.batch_size) < 1:
            raise ValueError("parts: seeds, parts_per_class, epochs and batch_size must be at least 1")


@dataclass(frozen=True)
class Profile:
    """One profile; a part that it lacks is None, and the experiments that need it are left out."""

    name: str
    title: str
    saliency: SaliencyProfile | None = None
    parts: PartsProfile | None = None
    limit: int | None = field(default=None, compare=False)


def profile_names() -> list[str]:
    """The profiles that `--profile` accepts."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """Read a profile by name. Raises ValueError for an unknown name, key or value."""
    if name not in profile_names():
        raise ValueError(f"profile: expected one of {', '.join(profile_names())}, got {name!r}")
    with (FOLDER / f"{name}.toml").open("rb") as file:
        content = tomllib.load(file)
    saliency, parts = content.get("saliency"), content.get("parts")
    return Profile(
        name,
        content["title"],
        _section(SaliencyProfile, saliency) if saliency else None,
        _section(PartsProfile, parts) if parts else None,
    )


def _section(kind: type, content: Mapping[str, object]) -> SaliencyProfile | PartsProfile:
    unknown = set(content) - {entry.name for entry in fields(kind)}
    if unknown:
        raise ValueError(f"profile: unknown keys {sorted(unknown)} for {kind.__name__}")
    return kind(**content)
