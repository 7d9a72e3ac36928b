"""The data set of a command: its pictures, those that cannot be read left out, and the features of a model's."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from dpnet.data.features import FeatureCache
from dpnet.data.leakage import combined_hash
from dpnet.data.pictures import PictureData
from dpnet.data.readable import readable
from dpnet.data.sources import open_features, picture_hashes
from dpnet.training.saving import ModelCard

Features = tuple[FeatureCache, FeatureCache]


def data_of_model(
    card: ModelCard, options: argparse.Namespace
) -> tuple[PictureData, Features, dict[Path, str]]:
    """The data set of a model, its features, extracted again where the cache lacks them, and the pictures left out.

    ``options.data`` is where the pictures now are; None where they were. Raises ValueError for classes that are not the
    model's, and for other pictures in the place that is given.
    """
    source = card.data if options.data is None else replace(card.data, where=options.data)
    data, skipped = readable(source.open(options.cache), options.cache, progress=True)
    for now, then in zip_longest(data.train.class_names, card.class_names):
        if now != then:
            raise ValueError(f"data: {source.where} has the class {now!r} where the model has {then!r}")
    if options.data is not None:
        _check_pictures(data, card, source.where)
    backbone = card.backbone.open(options.cache).to(options.device)
    features = open_features(
        backbone, card.backbone, data, options.cache, dtype=card.feature_dtype, progress=True
    )
    return data, features, skipped


def _check_pictures(data: PictureData, card: ModelCard, where: str) -> None:
    for split, pictures, name in (
        ("training", data.train, "dataset_hash"),
        ("test", data.test, "test_dataset_hash"),
    ):
        if combined_hash(picture_hashes(pictures)) != card.settings.get(name):
            raise ValueError(f"data: {where} has other {split} pictures than those of the model")


def report_skips(skipped: Mapping[Path, str], options: argparse.Namespace) -> int:
    """Say on stderr how many pictures were left out; the exit status, 1 where there are any but for --allow-skips."""
    if skipped:
        print(
            f"{len(skipped)} images were skipped, for example {next(iter(skipped.values()))}", file=sys.stderr
        )
    return 1 if skipped and not options.allow_skips else 0
