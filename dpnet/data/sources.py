"""Where pictures and backbones come from: files and library networks, or the built-in samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dpnet.data.backbone import load_backbone
from dpnet.data.features import FeatureCache, extract_features
from dpnet.data.geometry import size_of
from dpnet.data.leakage import check_no_leak, combined_hash, image_hashes, shared_positions
from dpnet.data.manifest import Manifest, describe, short_hash
from dpnet.data.pictures import PictureData, PictureSet, load_pictures
from opticam.classifier import Classifier
from opticam.sample import SAMPLE_NETWORKS, SampleSet, sample_network, sample_set
from opticam.sample.pictures import SAMPLE_SIZE

SAMPLE_PREFIX = "sample:"


@dataclass(frozen=True)
class DataSource:
    """A data set: ``where`` is a folder, or "sample:many", "sample:scenes" or "sample:fine".

    The other fields are those of `dpnet.data.pictures.load_pictures`; sample pictures have no layout, and one ``size``
    whatever is given, which is that of a photo that a model of theirs explains.
    ``drop_shared`` leaves training pictures out that are also test pictures; without it they are an error.
    """

    where: str
    layout: str = "auto"
    size: int = 224
    resize: str = "squash"
    drop_shared: bool = False

    def __post_init__(self) -> None:
        if self.where.startswith(SAMPLE_PREFIX):
            object.__setattr__(self, "size", SAMPLE_SIZE)

    def open(self, cache_dir: Path) -> PictureData:
        """The training and test pictures; errors as in `load_pictures` and `sample_set`."""
        if not self.where.startswith(SAMPLE_PREFIX):
            data = load_pictures(self.where, self.layout, size=self.size, resize=self.resize)
            return _without_shared(data) if self.drop_shared else data
        variant = self.where.removeprefix(SAMPLE_PREFIX)
        train, test = (sample_set(variant, split, cache_dir) for split in ("train", "test"))
        return PictureData(f"sample-{variant}", train, test)


@dataclass(frozen=True)
class BackboneSource:
    """A frozen network: a torchvision or timm name or "package.module:function", or a sample network by name.

    Raises ValueError for weights, mean or std of a sample network, which has its own.
    """

    name: str
    weights: str | None = "default"
    target_layer: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.name not in SAMPLE_NETWORKS:
            return
        for option, own in (("weights", "default"), ("mean", None), ("std", None)):
            if getattr(self, option) != own:
                raise ValueError(
                    f"{option} is {getattr(self, option)!r}; the sample network {self.name} has its own"
                )

    def open(self, cache_dir: Path) -> Classifier:
        """The backbone; a sample network is trained on first use. Errors as in `load_backbone`."""
        if self.name not in SAMPLE_NETWORKS:
            return load_backbone(
                self.name, self.weights, target_layer=self.target_layer, mean=self.mean, std=self.std
            )
        network, record = sample_network(self.name, cache_dir, progress=False)
        layer = self.target_layer or record.target_layer
        return Classifier(network, layer, mean=record.mean, std=record.std)


def _without_shared(data: PictureData) -> PictureData:
    assert isinstance(data.train, PictureSet)  # pictures that are drawn have none in common
    train, test = (picture_hashes(pictures) for pictures in (data.train, data.test))
    return replace(data, train=data.train.without(shared_positions(train, test)))


def picture_hashes(pictures: PictureSet | SampleSet) -> list[str]:
    """A hash of the content of each picture of a split."""
    if isinstance(pictures, SampleSet):
        return image_hashes(pictures.images)
    return pictures.hashes


def picture_size(pictures: PictureSet | SampleSet) -> tuple[int, int]:
    """Height and width of the pictures of a split, as the backbone sees them."""
    if isinstance(pictures, SampleSet):
        return size_of(pictures.images)
    return pictures.size, pictures.size


def split_manifests(
    backbone: Classifier, source: BackboneSource, data: PictureData, dtype: str = "bfloat16"
) -> tuple[Manifest, Manifest]:
    """What the features of the training and the test split are of; ValueError when a picture is in both."""
    hashes = [picture_hashes(pictures) for pictures in (data.train, data.test)]
    check_no_leak(*hashes)
    train = describe(
        backbone,
        network=source.name,
        image_size=picture_size(data.train),
        dataset=data.name,
        dataset_hash=combined_hash(hashes[0]),
        num_images=len(data.train),
        split="train",
        resize=getattr(data.train, "resize", "as drawn"),
        dtype=dtype,
    )
    tested = combined_hash(hashes[1])
    return train, replace(train, split="test", dataset_hash=tested, num_images=len(data.test))


def open_features(
    backbone: Classifier,
    source: BackboneSource,
    data: PictureData,
    cache_dir: Path,
    *,
    dtype: str = "bfloat16",
    workers: int = 0,
    memory: int | None = None,
    progress: bool = False,
) -> tuple[FeatureCache, FeatureCache]:
    """Feature maps of the training and the test split, extracted on first use, with the labels of the pictures.

    The folder's name carries a hash of what is in it, so caches of several networks, layers, sizes and data
    sets lie side by side. ``workers`` and ``memory`` as in `extract_features`. Raises ValueError when a picture is in
    both splits.
    """
    caches = []
    manifests = split_manifests(backbone, source, data, dtype)
    for pictures, manifest in zip((data.train, data.test), manifests):
        folder = Path(cache_dir) / f"{source.name}-{manifest.split}-{short_hash(manifest)}"
        options: dict[str, Any] = {"workers": workers, "memory": memory, "progress": progress}
        cache = extract_features(backbone, pictures, folder, manifest, **options)
        cache.labels = pictures.labels  # the kept ones are of the day of the extraction
        caches.append(cache)
    return caches[0], caches[1]
