"""What to run at which size: a TOML file in `profiles/`, overridden by command-line options."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from reproduce.workspace.paths import PROFILES

SOURCES = ("sample", "photographs", "folder")
PART_SOURCES = ("sample", "folder")
PICTURE_SIZE = 224
"""Pixels a side of the pictures that the networks of ImageNet were trained on."""


@dataclass(frozen=True)
class SaliencyProfile:
    """Images, networks and sizes of the Opti-CAM experiments.

    networks: network to explain -> the published network it stands beside. images: how many (None for all).
    iterations: of Opti-CAM; ablation_iterations: of its variants in the ablations. counts: images of single
    experiments and methods, by name or "experiment/method", where they take fewer; 0 leaves them out.
    options: arguments of methods, by name. weights: of a network, by name, where they are not its library's
    default. layers: the target layer of a network, by name, where it is not that of its family. optimize: how
    networks run, as in `Classifier`. first: a file in `profiles/` of the pictures that come first, and so are those of
    the experiments that take fewer. methods, experiments: the only ones that the profile has; all where None.
    """

    source: str
    networks: Mapping[str, str]
    batch_size: int
    iterations: int
    comparable: bool
    images: int | None = None
    ablation_iterations: int = 50
    counts: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)
    optimize: str = "fast"
    first: str | None = None
    methods: tuple[str, ...] | None = None
    experiments: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"saliency.source: expected one of {SOURCES}, got {self.source!r}")
        counts = (self.iterations, self.ablation_iterations, *self.counts.values())
        if min(self.batch_size, self.images or 1) < 1 or min(counts) < 0:
            raise ValueError("saliency: batch_size and images must be positive, counts not negative")


@dataclass(frozen=True)
class PartsProfile:
    """Data sets, backbones and sizes of the DP-Net experiments.

    source: "sample" for drawn pictures, which know their true parts, or "folder" for those given as --parts-data.
    picture_size: side of the squares that pictures in folders are squashed to; drawn ones have their own.
    datasets, backbones: name -> the published one it stands beside. seeds: how many runs of each model.
    train_images: how many training pictures of a data set are used at most, all where None; explained: how many test
    pictures have their maps measured. layers: layers of a backbone
    whose maps Global and Parts choose from, where it is not the papers' layer alone. folds: of the
    cross-validation on the training pictures that chooses recipe and rates for each data set, backbone and
    method. constraint_tolerance: points of cross-validated accuracy that a constraint's weight may cost.
    wide_search: whether it chooses from the wide lists of `dpnet.training.candidates`.
    selection_epochs: of the candidates in cross-validation; `epochs` where None.
    precision: of features and training; "float64" so that machines agree.
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
    folds: int
    constraint_tolerance: float
    comparable: bool
    picture_size: int = PICTURE_SIZE
    train_images: int | None = None
    explained: int = 48
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    precision: str = "float32"
    selection_epochs: int | None = None
    wide_search: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "constraint_datasets", tuple(self.constraint_datasets))
        if self.source not in PART_SOURCES:
            raise ValueError(f"parts.source: expected one of {PART_SOURCES}, got {self.source!r}")
        unknown = set(self.constraint_datasets) - set(self.datasets)
        if unknown or self.constraint_backbone not in self.backbones:
            raise ValueError("parts: constraint_datasets and constraint_backbone must be among the others")
        if min(self.seeds, self.parts_per_class, self.epochs, self.batch_size) < 1 or self.folds < 2:
            raise ValueError(
                "parts: seeds, parts_per_class, epochs and batch_size must be at least 1, folds at least 2"
            )
        if set(self.layers) - set(self.backbones):
            raise ValueError("parts: layers names a backbone that is not among the backbones")


@dataclass(frozen=True)
class Profile:
    """One profile; a part that it lacks is None, and the experiments that need it are left out."""

    name: str
    title: str
    saliency: SaliencyProfile | None = None
    parts: PartsProfile | None = None
    limit: int | None = field(default=None, compare=False)

    @property
    def same_everywhere(self) -> bool:
        """Whether cells should be equal on every machine: Opti-CAM's steps, which amplify rounding, are float64."""
        options = self.saliency.options.get("Opti-CAM", {}) if self.saliency else {}
        return options.get("precision") == "float64"

    @property
    def is_excerpt(self) -> bool:
        """Whether it names its experiments: a look at some pictures, beside the profiles of whole papers."""
        return bool(self.saliency and self.saliency.experiments)

    @property
    def optimize(self) -> str:
        """How the networks to explain run where nothing else is asked for."""
        return self.saliency.optimize if self.saliency else "fast"

    def image_count(self, *names: str) -> int | None:
        """How many images the experiments and methods called `names` take together; None for all there are.

        Where the profile has a number of images, a limit below it shrinks every experiment alike.
        """
        counts = self.saliency.counts if self.saliency else {}
        given = [counts[name] for name in names if name in counts]
        whole, limit = self.saliency.images if self.saliency else None, self.limit
        if whole and limit and limit < whole:
            given = [count and max(1, round(count * limit / whole)) for count in given]
        return min((count for count in (*given, whole, limit) if count is not None), default=None)


def first_pictures(name: str) -> list[str]:
    """Names of pictures in a file of `profiles/`: one in a line, lines that begin with "#" apart."""
    lines = (PROFILES / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


Section = TypeVar("Section", SaliencyProfile, PartsProfile)


def profile_names() -> list[str]:
    """The profiles that `--profile` accepts."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """Read a profile by name. Raises ValueError for an unknown name, key or value."""
    if name not in profile_names():
        raise ValueError(f"profile: expected one of {', '.join(profile_names())}, got {name!r}")
    with (PROFILES / f"{name}.toml").open("rb") as file:
        content = tomllib.load(file)
    saliency, parts = content.get("saliency"), content.get("parts")
    return Profile(
        name,
        content["title"],
        _section(SaliencyProfile, saliency) if saliency else None,
        _section(PartsProfile, parts) if parts else None,
    )


def _section(kind: type[Section], content: Mapping[str, Any]) -> Section:
    unknown = set(content) - {entry.name for entry in fields(kind)}
    if unknown:
        raise ValueError(f"profile: unknown keys {sorted(unknown)} for {kind.__name__}")
    return kind(**content)
