"""DP-Net's figures: a decision explained, parts of a class and of all classes, the effect of constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

from dpnet import PartClassifier
from dpnet.data.geometry import size_of, to_pixels
from dpnet.data.pictures import PictureSet
from dpnet.explain.comparison import compare_settings
from dpnet.explain.explanation import (
    MAP_KINDS,
    best_boxes,
    class_participation,
    image_participation,
    part_heat_map,
    participation_map,
)
from dpnet.explain.gallery import top_images
from dpnet.explain.plotting import class_matrices, constraint_comparison, part_gallery, photo_explanation
from dpnet.model.evaluation import outputs, prepare
from opticam.sample import SampleSet
from reproduce.experiments.base import Experiment
from reproduce.experiments.dpnet.constraints import ConstraintTable
from reproduce.experiments.dpnet.main import UNCONSTRAINED, MainTable
from reproduce.parts.models import (
    PartRun,
    dataset_split,
    is_ready,
    load_model,
    part_model,
    parts_label,
    run_features,
)
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

Pictures = SampleSet | PictureSet
PARTS, IMAGES = 5, 6
SETTINGS = {"no constraint": "none", "orthogonal": "perp", "sparse": "assign", "class specific": "cs"}


class PartFigures(Experiment):
    """For each data set an explained picture and a gallery; for two the comparison of the slides."""

    name = "dpnet-parts"
    paper = "DP-Net"
    drawing = 30.0
    title = "Figures: what parts add to a decision, where they are found, and what the constraints change"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def run(self, workspace: Workspace) -> None:
        """Train the models shown, if the tables have not done so."""
        MainTable().run(workspace)
        ConstraintTable().run(workspace)

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """Figures of the models that are trained."""
        profile = workspace.parts
        figures = {}
        for dataset in profile.datasets:
            run = PartRun(dataset, profile.constraint_backbone, UNCONSTRAINED, seed=0)
            if is_ready(workspace, run):
                shown = shown_on_test_pictures(workspace, {UNCONSTRAINED: run})
                figures[f"dpnet_explanation_{dataset}"] = explanation_figure(shown)
                figures[f"dpnet_parts_{dataset}"] = gallery_figure(shown, label=0)
        for dataset in profile.constraint_datasets:
            runs = {
                words: PartRun(dataset, profile.constraint_backbone, parts_label(name), seed=0)
                for words, name in SETTINGS.items()
            }
            if all(is_ready(workspace, run) for run in runs.values()):
                shown = shown_on_test_pictures(workspace, runs)
                figures[f"dpnet_constraints_{dataset}"] = comparison_figure(shown, label=0)
                figures[f"dpnet_classes_{dataset}"] = classes_figure(shown)
        return figures


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


@torch.no_grad()
def explanation_figure(shown: Shown) -> Figure:
    """Why the first test picture that is classified correctly got its class: parts, maps, shares of the logit.

    Where none is, the first of all.
    """
    (model,), data = shown.models.values(), shown.data
    index = _first_correct(model, shown)
    maps, classes = shown.maps[index : index + 1], data.labels[index : index + 1]
    output = model(maps)
    added = image_participation(model, output, classes)[0]
    parts = added.argsort(descending=True)[:PARTS]
    size = size_of(data[0][0])
    exact, dense = (
        to_pixels(participation_map(model, maps, classes, kind)[0], size, model.grid) for kind in MAP_KINDS
    )
    heat = to_pixels(part_heat_map(model, maps, parts)[0], size, model.grid)
    boxes = best_boxes(model, output, size_of(maps), size)[0, parts]
    label = int(classes)
    logit, probability = output.logits[0, label].item(), output.logits[0].softmax(dim=0)[label].item()
    names = [f"{data.class_names[int(model.owner[p])]} #{int(p) % model.parts_per_class}" for p in parts]
    title = f"{data.class_names[label]} ({shown.dataset}): logit {logit:.2f}, p = {probability:.2f}"
    bias = model.classifier.bias[label].item()
    panels = (exact, dense, heat, boxes, added[parts], names, title)
    return photo_explanation(data[index][0], *panels, bias=bias, logit=logit)


def _first_correct(model: PartClassifier, shown: Shown) -> int:
    labels, start = shown.data.labels, 0
    for output in outputs(model, shown.maps, batch_size=32):
        right = output.logits.argmax(dim=1) == labels[start : start + len(output.logits)]
        if right.any():
            return start + int(right.nonzero()[0])
        start += len(right)
    return 0


def gallery_figure(shown: Shown, label: int) -> Figure:
    """The parts that tell a class most from others, each with the test images where it responds most."""
    (model,), data = shown.models.values(), shown.data
    regions = prepare(model, shown.maps)
    participation = class_participation(model, regions, data.labels).centred[label]
    parts = participation.topk(PARTS).indices
    best = top_images(model, regions, IMAGES)
    all_boxes = model.boxes(size_of(shown.maps), size_of(data[0][0]))
    boxes = all_boxes[best.regions[parts].cpu().long()]
    rows = [[data[int(i)][0] for i in best.images[part]] for part in parts]
    names = [f"part {int(p)}\nadds {participation[p].item():.2f}" for p in parts]
    title = (
        f"{data.class_names[label]} ({shown.dataset}): parts that add most beyond their average, "
        "and where they respond most"
    )
    return part_gallery(rows, boxes, best.responses[parts], names, title)


def comparison_figure(shown: Shown, label: int) -> Figure:
    """The same images of one class under no constraint, orthogonal, sparse and class specific."""
    data = shown.data
    chosen = (data.labels == label).nonzero().flatten()[:IMAGES]
    settings = compare_settings(shown.models, shown.maps[chosen], label, size_of(data[0][0]), PARTS)
    images = torch.stack([data[int(index)][0] for index in chosen])
    title = f"Top {PARTS} parts of {data.class_names[label]} ({shown.dataset}) under each constraint"
    return constraint_comparison(images, settings, title)


def classes_figure(shown: Shown) -> Figure:
    """Class-level participation of every part for every class, under each constraint."""
    data = shown.data
    found = {
        words: class_participation(model, shown.maps, data.labels).participation
        for words, model in shown.models.items()
    }
    per_class = next(iter(shown.models.values())).parts_per_class
    title = f"Class-level participation ({shown.dataset}): rows are classes, columns parts, owners in order"
    return class_matrices(found, data.class_names, per_class, title)
