"""DP-Net's figures: the best boxes of the top parts, and one class's parts under each constraint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from dpnet import PartClassifier
from dpnet.comparison import compare_settings
from dpnet.explanation import class_participation
from dpnet.gallery import top_images
from dpnet.plotting import constraint_comparison, part_gallery
from opticam.data import SampleSet
from reproduce.experiments.base import Experiment
from reproduce.experiments.dpnet_constraints import ConstraintTable
from reproduce.experiments.dpnet_main import UNCONSTRAINED, MainTable
from reproduce.part_models import PartRun, dataset_split, features_and_labels, load_model, parts_label
from reproduce.profile import Profile
from reproduce.workspace import Workspace

PARTS, IMAGES = 5, 6
SETTINGS = {"no constraint": "none", "orthogonal": "perp", "sparse": "assign", "class specific": "cs"}


class PartFigures(Experiment):
    """A gallery of one class's top parts for each data set, and the comparison of the slides."""

    name = "dpnet-parts"
    paper = "DP-Net"
    title = "Figures: best boxes of the top parts; one class under each constraint"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def run(self, workspace: Workspace) -> None:
        """Train the models shown, if the tables have not done so."""
        MainTable().run(workspace)
        ConstraintTable().run(workspace)

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """Figures of the models that are trained."""
        profile = workspace.profile.parts
        figures = {}
        for dataset in profile.datasets:
            run = PartRun(dataset, profile.constraint_backbone, UNCONSTRAINED, seed=0)
            if run.weights_file(workspace.results).exists():
                figures[f"dpnet_parts_{dataset}"] = gallery_figure(workspace, run, label=0)
        for dataset in profile.constraint_datasets:
            runs = {
                words: PartRun(dataset, profile.constraint_backbone, parts_label(name), seed=0)
                for words, name in SETTINGS.items()
            }
            if all(run.weights_file(workspace.results).exists() for run in runs.values()):
                figures[f"dpnet_constraints_{dataset}"] = comparison_figure(workspace, runs, dataset, label=0)
        return figures


def gallery_figure(workspace: Workspace, run: PartRun, label: int) -> Figure:
    """The parts that add most to a class, each with the test images where it responds most."""
    features, data = _features_and_data(workspace, run)
    model = load_model(workspace, run)
    participation = class_participation(model, features, data.labels).participation[label]
    parts = participation.topk(PARTS).indices
    best = top_images(model, features, IMAGES)
    boxes = _region_boxes(model, features, data.images)[best.regions[parts].cpu().long()]
    rows = [[data[int(i)][0] for i in best.images[part]] for part in parts]
    names = [f"part {int(p)}\nadds {participation[p].item():.2f}" for p in parts]
    title = f"{data.class_names[label]} ({run.dataset}): its top parts and where they respond most"
    return part_gallery(rows, boxes, best.responses[parts], names, title)


def comparison_figure(workspace: Workspace, runs: Mapping[str, PartRun], dataset: str, label: int) -> Figure:
    """The same images of one class under no constraint, orthogonal, sparse and class specific."""
    features, data = _features_and_data(workspace, next(iter(runs.values())))
    chosen = (data.labels == label).nonzero().flatten()[:IMAGES]
    models = {words: load_model(workspace, run) for words, run in runs.items()}
    size = tuple(data.images.shape[-2:])
    settings = compare_settings(models, features[chosen], label, size, PARTS)
    images = torch.stack([data[int(index)][0] for index in chosen])
    return constraint_comparison(images, settings, f"Top parts of {data.class_names[label]} ({dataset})")


def _features_and_data(workspace: Workspace, run: PartRun) -> tuple[torch.Tensor, SampleSet]:
    features, _ = features_and_labels(workspace, run.dataset, run.backbone, "test")
    return features, dataset_split(workspace, run.dataset, "test")


def _region_boxes(model: PartClassifier, features: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    return model.scheme.boxes(*features.shape[-2:], tuple(images.shape[-2:]))
