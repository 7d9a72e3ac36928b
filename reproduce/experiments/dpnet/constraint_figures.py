"""DP-Net's figures of what the constraints change: the parts of one class, and what every part adds to every class."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from dpnet.data.geometry import size_of
from dpnet.explain.comparison import compare_settings
from dpnet.explain.explanation import class_participation
from dpnet.explain.plotting import class_matrices, constraint_comparison
from reproduce.experiments.dpnet.shown import IMAGES, PARTS, Shown, shown_on_test_pictures
from reproduce.parts.models import PartRun, is_ready, parts_label
from reproduce.workspace.workspace import Workspace

SETTINGS = {"no constraint": "none", "orthogonal": "perp", "sparse": "assign", "class specific": "cs"}


def constraint_figures(workspace: Workspace) -> Mapping[str, Figure]:
    """The comparison of the slides, on each data set whose models are trained."""
    profile, figures = workspace.parts, {}
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
