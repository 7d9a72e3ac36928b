"""DP-Net's figures of its parts: a decision explained by them, and where those of a class are found."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure

from dpnet import PartClassifier
from dpnet.data.geometry import size_of, to_pixels
from dpnet.explain.explanation import (
    MAP_KINDS,
    best_boxes,
    class_participation,
    image_participation,
    part_heat_map,
    participation_map,
)
from dpnet.explain.gallery import top_images
from dpnet.explain.plotting import part_gallery, photo_explanation
from dpnet.model.evaluation import outputs, prepare
from reproduce.experiments.dpnet.main import UNCONSTRAINED, MainTable
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.experiments.dpnet.shown import IMAGES, PARTS, Shown, shown_on_test_pictures
from reproduce.parts.models import PartRun, is_ready
from reproduce.workspace.workspace import Workspace


class PartFigures(PartsExperiment):
    """For each data set an explained picture and a gallery."""

    name = "dpnet-parts"
    drawing = 10.0
    title = "Figures: what parts add to a decision, and where they are found"

    def run(self, workspace: Workspace) -> None:
        """Train the models shown, if the table has not done so."""
        MainTable().run(workspace)

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
        return figures


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
