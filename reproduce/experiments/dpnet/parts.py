"""DP-Net's figures: a decision explained, parts of a class and of all classes, the effect of constraints."""

from __future__ import annotations

from collections.abc import Mapping

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
                figures[f"dpnet_explanation_{dataset}"] = explanation_figure(workspace, run)
                figures[f"dpnet_parts_{dataset}"] = gallery_figure(workspace, run, label=0)
        for dataset in profile.constraint_datasets:
            runs = {
                words: PartRun(dataset, profile.constraint_backbone, parts_label(name), seed=0)
                for words, name in SETTINGS.items()
            }
            if all(is_ready(workspace, run) for run in runs.values()):
                figures[f"dpnet_constraints_{dataset}"] = comparison_figure(workspace, runs, dataset, label=0)
                figures[f"dpnet_classes_{dataset}"] = classes_figure(workspace, runs, dataset)
        return figures


def explanation_figure(workspace: Workspace, run: PartRun) -> Figure:
    """Why the first test picture that is classified correctly got its class: parts, maps, shares of the logit."""
    features, data = _features_and_data(workspace, run)
    model = part_model(load_model(workspace, run))
    return _explained(model, features, data, run.dataset)


@torch.no_grad()
def _explained(model: PartClassifier, features: torch.Tensor, data: Pictures, dataset: str) -> Figure:
    correct = model(features).logits.argmax(dim=1) == data.labels
    index = int(correct.nonzero()[0])
    maps, classes = features[index : index + 1], data.labels[index : index + 1]
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
    title = f"{data.class_names[label]} ({dataset}): logit {logit:.2f}, p = {probability:.2f}"
    bias = model.classifier.bias[label].item()
    shown = (exact, dense, heat, boxes, added[parts], names, title)
    return photo_explanation(data[index][0], *shown, bias=bias, logit=logit)


def gallery_figure(workspace: Workspace, run: PartRun, label: int) -> Figure:
    """The parts that tell a class most from others, each with the test images where it responds most."""
    features, data = _features_and_data(workspace, run)
    model = part_model(load_model(workspace, run))
    participation = class_participation(model, features, data.labels).centred[label]
    parts = participation.topk(PARTS).indices
    best = top_images(model, features, IMAGES)
    all_boxes = model.boxes(size_of(features), size_of(data[0][0]))
    boxes = all_boxes[best.regions[parts].cpu().long()]
    rows = [[data[int(i)][0] for i in best.images[part]] for part in parts]
    names = [f"part {int(p)}\nadds {participation[p].item():.2f}" for p in parts]
    title = (
        f"{data.class_names[label]} ({run.dataset}): parts that add most beyond their average, "
        "and where they respond most"
    )
    return part_gallery(rows, boxes, best.responses[parts], names, title)


def comparison_figure(workspace: Workspace, runs: Mapping[str, PartRun], dataset: str, label: int) -> Figure:
    """The same images of one class under no constraint, orthogonal, sparse and class specific."""
    features, data = _features_and_data(workspace, next(iter(runs.values())))
    chosen = (data.labels == label).nonzero().flatten()[:IMAGES]
    models = {words: part_model(load_model(workspace, run)) for words, run in runs.items()}
    size = size_of(data[0][0])
    settings = compare_settings(models, features[chosen], label, size, PARTS)
    images = torch.stack([data[int(index)][0] for index in chosen])
    title = f"Top {PARTS} parts of {data.class_names[label]} ({dataset}) under each constraint"
    return constraint_comparison(images, settings, title)


def classes_figure(workspace: Workspace, runs: Mapping[str, PartRun], dataset: str) -> Figure:
    """Class-level participation of every part for every class, under each constraint."""
    features, data = _features_and_data(workspace, next(iter(runs.values())))
    found = {}
    for words, run in runs.items():
        model = part_model(load_model(workspace, run))
        found[words] = class_participation(model, features, data.labels).participation
    title = f"Class-level participation ({dataset}): rows are classes, columns parts, owners in order"
    return class_matrices(found, data.class_names, model.parts_per_class, title)


def _features_and_data(workspace: Workspace, run: PartRun) -> tuple[torch.Tensor, Pictures]:
    features, _ = run_features(workspace, run, "test")
    return features[torch.arange(len(features))], dataset_split(workspace, run.dataset, "test")
