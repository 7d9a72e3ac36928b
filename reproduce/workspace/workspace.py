"""Everything an experiment reads and writes: the profile, its images and networks, the store, the folders."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch

from dpnet.data.backbone import load_backbone
from opticam import Classifier, applicable_methods
from opticam.bundled import BUNDLED
from opticam.data.imagenet_transforms import TRANSFORMS
from opticam.sample import sample_network
from reproduce.workspace.map_cache import MapCache, classifier_digest
from reproduce.workspace.paths import RESULTS, ROOT
from reproduce.workspace.profile import PICTURE_SIZE, PartsProfile, Profile, SaliencyProfile, first_pictures
from reproduce.workspace.sources import FolderSource, ImageSource, PhotographSource, SampleSource
from reproduce.workspace.store import Store

SAMPLE = "sample_"
"""What the names of the sample networks begin with."""


@dataclass(frozen=True)
class RealInput:
    """Pictures and network given on the command line; None means the profile's own."""

    images: Path | None = None
    labels: Path | None = None
    boxes: Path | None = None
    transform: str = TRANSFORMS[0]
    weights: str = "default"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    @property
    def fingerprint(self) -> str:
        """Eight characters that differ between inputs whose results must not mix; empty for none."""
        return _fingerprint(self)


@dataclass(frozen=True)
class PartsInput:
    """Picture folders and weights of DP-Net given on the command line.

    data: name of a data set of the profile -> its folder. weights: name of a backbone -> file of its weights, the
    head not needed; the library's own download where it has none. runs: name of a data set -> folder of runs
    of `dpnet train`, which take the place of training. workers: processes that read pictures. memory: bytes of feature
    maps in memory at a time, None without a bound.
    """

    data: Mapping[str, Path] = field(default_factory=dict)
    weights: Mapping[str, Path] = field(default_factory=dict)
    runs: Mapping[str, Path] = field(default_factory=dict)
    workers: int = field(default=0, compare=False, repr=False)
    memory: int | None = field(default=None, compare=False, repr=False)

    @property
    def fingerprint(self) -> str:
        """As that of `RealInput`."""
        return _fingerprint(self)


def _fingerprint(given: RealInput | PartsInput) -> str:
    return "" if given == type(given)() else hashlib.sha256(repr(given).encode()).hexdigest()[:8]


@dataclass(eq=False)
class Workspace:
    """One profile at work.

    results: folder of the store and arrays. cache: folder of the sample data and networks. all_maps: folder
    for every saliency map; without it only those of the first batch, for the figures, are kept. optimize: how
    the networks to explain run, as in `Classifier`.
    """

    profile: Profile
    real: RealInput = field(default_factory=RealInput)
    results: Path = None  # type: ignore[assignment]  # where None, a folder named after the profile
    cache: Path = ROOT / "cache"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = True
    all_maps: Path | None = None
    optimize: str = "fast"
    parts_input: PartsInput = field(default_factory=PartsInput)

    def __post_init__(self) -> None:
        if self.results is None:
            level = "" if self.optimize == self.profile.optimize else self.optimize
            given = self.real.fingerprint, self.parts_input.fingerprint
            size = self.profile.parts.picture_size if self.profile.parts else PICTURE_SIZE
            pixels = "" if size == PICTURE_SIZE else f"{size}px"
            name = "-".join(part for part in (self.profile.name, *given, pixels, level) if part)
            self.results = RESULTS / name
        self._digests: dict[tuple[str, bool], str] = {}
        self._methods: dict[str, list[str]] = {}
        self._classifiers: dict[tuple[str, bool], Classifier] = {}

    @property
    def saliency(self) -> SaliencyProfile:
        """The profile of the Opti-CAM experiments. Raises ValueError where it has none."""
        if self.profile.saliency is None:
            raise ValueError(f"profile: {self.profile.name!r} has no [saliency]")
        return self.profile.saliency

    @property
    def parts(self) -> PartsProfile:
        """The profile of the DP-Net experiments. Raises ValueError where it has none."""
        if self.profile.parts is None:
            raise ValueError(f"profile: {self.profile.name!r} has no [parts]")
        return self.profile.parts

    @cached_property
    def store(self) -> Store:
        """The results of this profile."""
        return Store(self.results / "results.sqlite")

    @cached_property
    def sink(self) -> Store:
        """Where this process writes: the store itself, or under torchrun a file of its own rank."""
        rank = int(os.environ.get("RANK", 0))
        return self.store if rank == 0 else Store(self.results / f"results.rank{rank}.sqlite")

    @cached_property
    def source(self) -> ImageSource:
        """The images to explain, the profile's number of them or the first `limit`."""
        limit = self.profile.image_count()
        if self.saliency.source == "sample":
            return SampleSource(self.cache, limit)
        if self.saliency.source == "photographs":
            return PhotographSource(limit)
        real, first = self.real, self.saliency.first
        if real.images is None or real.labels is None:
            raise ValueError(f"images, labels: the profile {self.profile.name!r} needs --images and --labels")
        leading = first_pictures(first) if first else []
        return FolderSource(real.images, real.labels, real.boxes, real.transform, limit, leading)

    @cached_property
    def picture_set(self) -> str:
        """Differs between pictures whose maps must not mix."""
        given = dataclasses.replace(self.real, labels=None, boxes=None).fingerprint
        return f"{self.profile.name} {given} {self.source.fingerprint}"

    def of_models(self, name: str) -> str:
        """An experiment in the store, or a folder beside it, of what rests on trained part models.

        Those of a first look are trained shorter, and do not take the place of the whole run's.
        """
        return f"{name}-first-look" if self.profile.limit else name

    def digest(self, network: str, normalised: bool = True) -> str:
        """Hash of what a network's maps depend on."""
        key = network, normalised
        if key not in self._digests:
            self._digests[key] = classifier_digest(self.classifier(network, normalised))
        return self._digests[key]

    def methods(self, network: str) -> list[str]:
        """Names of the profile's methods that are defined for a network, in the order of the papers' tables."""
        # Asked first: wrong images are told before a network is loaded.
        if network not in self._methods:
            defined = applicable_methods(self.classifier(network)) if self.source.names else []
            wanted = self.saliency.methods
            self._methods[network] = [name for name in defined if wanted is None or name in wanted]
        return self._methods[network]

    def map_cache(self, batch: range) -> MapCache | None:
        """Where the maps of a batch are kept, if they are."""
        if self.all_maps:
            return MapCache(self.all_maps)
        return None if batch.start else MapCache(self._first_maps)

    def forget_maps(self, network: str, method: str, images: Sequence[str]) -> None:
        """Delete the maps of a method on a network of batches with any of the images, wherever they are kept."""
        for folder in filter(None, (self.all_maps, self._first_maps)):
            MapCache(folder).forget(network, method, images)

    @property
    def _first_maps(self) -> Path:
        return self.results / "maps"

    def classifier(self, network: str, normalised: bool = True) -> Classifier:
        """The classifier called `network`, on the device; without `normalised` it takes raw pixels.

        The last one asked for is kept, so that the memory of a network is free when the next one is asked for.
        """
        key = network, normalised
        if key not in self._classifiers:
            self._classifiers.clear()
            classifier = self._classifier(network)
            if not normalised:
                plain: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1), "optimize": self.optimize}
                classifier = Classifier(classifier.network, classifier.target_layer, **plain).to(self.device)
            self._classifiers[key] = classifier
        return self._classifiers[key]

    def is_downloaded(self, network: str) -> bool:
        """Whether a network's weights are fetched at first use, not files of the project or of a package."""
        return not network.startswith(SAMPLE) and network not in BUNDLED

    def _classifier(self, network: str) -> Classifier:
        if network.startswith(SAMPLE):
            module, record = sample_network(network, self.cache, progress=self.progress)
            statistics: dict[str, Any] = {"mean": record.mean, "std": record.std, "optimize": self.optimize}
            return Classifier(module, record.target_layer, **statistics).to(self.device)
        if self.profile.parts and network in self.profile.parts.backbones:
            return self._backbone(network)
        statistics = {"mean": self.real.mean, "std": self.real.std, "optimize": self.optimize}
        weights = self.real.weights
        if weights == "default":
            weights = self.saliency.weights.get(network, weights)
        layer = self.saliency.layers.get(network)
        try:
            return Classifier.from_name(network, weights, target_layer=layer, **statistics).to(self.device)
        except URLError as error:
            raise FileNotFoundError(
                f"weights: those of {network} cannot be downloaded ({error.reason}); give --network, --weights"
            ) from None

    def _backbone(self, network: str) -> Classifier:
        """A backbone of DP-Net, whose weights may lack the head."""
        weights = self.parts_input.weights.get(network, "default")
        try:
            return load_backbone(network, weights, mean=self.real.mean, std=self.real.std).to(self.device)
        except URLError as error:
            raise FileNotFoundError(
                f"parts-backbone: the weights of {network} cannot be downloaded ({error.reason}); "
                f"give --parts-backbone {network}=FILE"
            ) from None
