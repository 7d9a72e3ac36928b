"""What figures of part models are drawn from: trained models on the test pictures of their data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from dpnet import PartClassifier
from dpnet.data.pictures import PictureSet
from opticam.sample import SampleSet
from reproduce.parts.data import dataset_split
from reproduce.parts.models import PartRun, load_model, part_model, run_features
from reproduce.workspace.workspace import Workspace

Pictures = SampleSet | PictureSet
PARTS, IMAGES = 5, 6
"""How many parts are shown, and in how many pictures."""


class Shown(NamedTuple):
    """Models of one data set and what they are shown on: its test pictures and their maps, float32 as the models."""

    dataset: str
    models: Mapping[str, PartClassifier]
    maps: torch.Tensor
    data: Pictures


def shown_on_test_pictures(workspace: Workspace, runs: Mapping[str, PartRun]) -> Shown:
    """The trained models of these runs, which differ in their constraints alone."""
    first = next(iter(runs.values()))
    features, _ = run_features(workspace, first, "test")
    maps = features[torch.arange(len(features))].float()
    models = {words: part_model(load_model(workspace, run)) for words, run in runs.items()}
    return Shown(first.dataset, models, maps, dataset_split(workspace, first.dataset, "test"))
