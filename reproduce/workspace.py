"""Everything an experiment reads and writes: the profile, its images and networks, the store, the folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import torch

from opticam import Classifier
from opticam.data import sample_network
from opticam.data.imagenet_transforms import TRANSFORMS
from reproduce.profile import Profile
from reproduce.sources import FolderSource, ImageSource, SampleSource
from reproduce.store import Store

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class RealInput:
    """Pictures and network given on the command line; None means the profile's own."""

    images: Path | None = None
    labels: Path | None = None
    transform: str = TRANSFORMS[0]
    weights: str = "default"
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    @property
    def fingerprint(self) -> str:
        """Eight characters that differ between inputs whose results must not mix; empty for none."""
        if self == RealInput():
            return ""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:8]


@dataclass(eq=False)
class Workspace:
    """One profile at work. `results` holds the store and arrays, `cache` the sample data and networks."""

    profile: Profile
    real: RealInput = field(default_factory=RealInput)
    results: Path | None = None
    cache: Path = ROOT / "cache"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    progress: bool = True

    def __post_init__(self) -> None:
        if self.results is None:
            name = "-".join(part for part in (self.profile.name, self.real.fingerprint) if part)
            self.results = ROOT / "results" / name

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
        counts = [count for count in (self.profile.saliency.images, self.profile.limit) if count is not None]
        limit = min(counts, default=None)
        if self.profile.saliency.source == "sample":
            return SampleSource(self.cache, limit)
        if self.real.images is None or self.real.labels is None:
            raise ValueError(f"images, labels: the profile {self.profile.name!r} needs --images and --labels")
        return FolderSource(self.real.images, self.real.labels, self.real.transform, limit)

    @lru_cache(maxsize=1)  # noqa: B019 - one workspace a process; the network is freed with the next one
    def classifier(self, network: str) -> Classifier:
        """The classifier called `network`, on the device."""
        if network.startswith("sample_"):
            module, record = sample_network(network, self.cache, progress=self.progress)
            classifier = Classifier(module, record.target_layer, mean=record.mean, std=record.std)
            return classifier.to(self.device)
        return Classifier.from_name(network, self.real.weights, mean=self.real.mean, std=self.real.std).to(
            self.device
        )
