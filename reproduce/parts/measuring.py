"""What is measured of a trained model on the test pictures of its data set."""

from __future__ import annotations

import torch

from dpnet import GlobalClassifier, PartClassifier
from dpnet.data.blocks import Features
from dpnet.explain.part_quality import part_localisation, part_purity
from dpnet.model.evaluation import accuracy, interpretability
from dpnet.model.initialisation import initialise_parts
from opticam.sample import SampleSet
from reproduce.parts.data import dataset_split, image_size, layer_features, map_size
from reproduce.parts.prepared import prepared
from reproduce.workspace.workspace import Workspace


def measured(
    workspace: Workspace,
    place: tuple[str, str, str],
    model: PartClassifier | GlobalClassifier,
    untrained: PartClassifier | GlobalClassifier,
    seed: int,
) -> dict[str, float]:
    """Accuracy, and of a model with parts how interpretable they are, by the names in the store; shares in percent.

    place: data set, backbone and layer. untrained: the model before training; what its parts say when they are drawn
    at random is told beside, where the pictures' true parts are known.
    """
    _, labels = layer_features(workspace, *place, "test")
    features = prepared(workspace, place, "test", model, torch.float32)  # a trained model's own
    figures = {"accuracy": 100 * accuracy(model, features, labels)}
    if not (isinstance(model, PartClassifier) and isinstance(untrained, PartClassifier)):
        return figures
    figures |= interpretability(model, features, labels)
    data = dataset_split(workspace, place[0], "test")
    if isinstance(data, SampleSet):  # nobody marked the parts of photographs
        boxes = model.boxes(map_size(workspace, *place), image_size(workspace, place[0]))
        figures |= part_quality(model, data, features, boxes)
        initialise_parts(untrained, "random", seed=seed)
        by_chance = part_quality(untrained, data, features, boxes)
        figures |= {f"random_{name}": value for name, value in by_chance.items()}
    return figures


def part_quality(
    model: PartClassifier, data: SampleSet, features: Features, boxes: torch.Tensor
) -> dict[str, float]:
    """Whether parts show the same true part, and lie on one, in pictures with these features; in percent.

    features, boxes: as `part_purity` takes them.
    """
    purity = part_purity(model, features, boxes, data.part_centres, data.part_ids).mean().item()
    found = part_localisation(model, features, data.labels, boxes, data.part_centres)
    shares = {"purity": purity, "hit": found["hit"], "hit_by_chance": found["hit_by_chance"]}
    return {name: 100 * value for name, value in shares.items()} | {"distance": found["distance"]}
