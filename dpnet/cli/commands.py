"""What the commands train, evaluate, explain and gallery do."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dpnet.cli.data import data_of_model, report_skips
from dpnet.cli.requests import backbone_source, data_source, runs
from dpnet.data.features import FeatureCache
from dpnet.data.geometry import map_geometry, size_of, to_pixels
from dpnet.data.leakage import labels_hash
from dpnet.data.readable import readable
from dpnet.data.sources import open_features, picture_size, split_manifests
from dpnet.explain.explanation import (
    MAP_KINDS,
    best_boxes,
    centred_participation,
    class_participation,
    image_participation,
    part_heat_map,
    participation_map,
)
from dpnet.explain.gallery import top_images
from dpnet.explain.plotting import part_gallery, photo_explanation, save_figure
from dpnet.model.evaluation import accuracy, interpretability
from dpnet.model.part_layer import PartClassifier
from dpnet.model.recipes import GlobalRecipe
from dpnet.similarity import backend_report
from dpnet.training.candidates import global_candidates, part_candidates
from dpnet.training.processes import first_process_first, join_processes, leave_processes, rank, world_size
from dpnet.training.runs import (
    Run,
    check_folder,
    check_runs,
    data_facts,
    origin,
    summary,
    train_runs,
)
from dpnet.training.saving import ModelCard, load_model
from dpnet.training.selection import choose, stratified_folds
from opticam.data.files import check_writable
from opticam.data.photo import photo_frame, read_photo


def train(options: argparse.Namespace) -> int:
    """Train Global and Parts with every seed; print the table and where everything lies."""
    planned = runs(options)
    device = join_processes(options.device)
    if options.select and world_size() > 1:
        raise ValueError("select: choose in one process, then train in several with the options it found")
    data_from, backbone_from = data_source(options), backbone_source(options)
    with first_process_first():
        data = data_from.open(options.cache)
        backbone = backbone_from.open(options.cache).to(device)
        map_size, grid = map_geometry(backbone, picture_size(data.train))
        check_runs(planned, map_size, len(data.train.class_names))
        data, skipped = readable(data, options.cache, workers=options.workers, progress=rank() == 0)
        manifests = split_manifests(backbone, backbone_from, data, options.feature_dtype)
        facts = data_facts(manifests, (data.train.labels, data.test.labels))
        if options.select:
            stratified_folds(data.train.labels, options.select)  # which says where a class has too few
        check_folder(options.output, [] if options.select else planned, facts)
        check_writable(options.output)
        features = open_features(
            backbone,
            backbone_from,
            data,
            options.cache,
            dtype=options.feature_dtype,
            workers=options.workers,
            memory=options.memory,
            progress=rank() == 0,
        )
    if options.select:
        planned = _select(planned, features[0], options)
    card = ModelCard(backbone_from, data_from, tuple(data.train.class_names), {}, {}, options.feature_dtype)
    results = train_runs(
        planned,
        options.seeds,
        *features,
        card,
        options.output,
        device=device,
        grid=grid,
        progress=rank() == 0,
    )
    first = rank() == 0
    if first:
        _print_summary(summary(results), options.output)
    leave_processes()
    return report_skips(skipped, options) if first else 0


def _select(planned: list[Run], features: FeatureCache, options: argparse.Namespace) -> list[Run]:
    """The planned runs with the recipe and rates that cross-validation on the training pictures prefers."""
    chosen = []
    for run in planned:
        if isinstance(run.recipe, GlobalRecipe):
            candidates = global_candidates(run.settings, recipe=run.recipe)
        else:
            candidates = part_candidates(run.settings, min(features.shape[-2:]), run.recipe)
        record = options.output / f"selection-{run.name}-{_digest(candidates, features, options.select)}.csv"
        best, table = choose(
            candidates,
            features,
            features.labels,
            int(features.labels.max()) + 1,
            folds=options.select,
            device=options.device,
            record=record,
            progress=True,
        )
        print(f"{run.name}: {best.name}, {table.loc[best.name, 'accuracy']:.2f} % in cross-validation")
        chosen.append(Run(run.name, best.recipe, best.settings))
    return chosen


def _digest(candidates: Sequence[Run], features: FeatureCache, folds: int) -> str:
    """Eight hexadecimal digits that change with anything that the candidates' accuracies depend on."""
    validated = [(run.name, run.settings, origin(run.recipe, features)) for run in candidates]
    facts = validated, labels_hash(features.labels), folds
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:8]


def evaluate(options: argparse.Namespace) -> int:
    """Print accuracy and interpretability of a model on the test pictures of its data set."""
    model, card = load_model(options.model, options.backbone)
    _, (_, test), skipped = data_of_model(card, options)
    model.to(options.device)
    print(f"test accuracy      {100 * accuracy(model, test, test.labels):.2f} % of {len(test)} pictures")
    if isinstance(model, PartClassifier):
        for name, value in interpretability(model, test, test.labels).items():
            print(f"{name.replace('_', ' '):18s} {value:.4g}")
    return report_skips(skipped, options)


def explain(options: argparse.Namespace) -> None:
    """Write the figure of a photo's top parts and print what each adds to the logit."""
    model, card = _load_parts(options)
    shown = card.data.size, card.data.resize
    photo, frame = read_photo(options.photo, *shown), photo_frame(options.photo, *shown)
    backbone = card.backbone.open(options.cache).to(options.device)
    features = backbone.features(photo[None].to(options.device))
    with torch.no_grad():
        output = model(features)
        predicted = int(output.logits[0].argmax())
        label = (
            predicted if options.class_ is None else _class_id(options.class_, card.class_names, predicted)
        )
        classes = torch.tensor([label], device=features.device)
        added = image_participation(model, output, classes)[0]
    parts = added.abs().argsort(descending=True)[: options.parts]
    with torch.no_grad():
        heat = part_heat_map(model, features, parts)[0]
        maps = [participation_map(model, features, classes, kind)[0] for kind in MAP_KINDS]
    size = size_of(photo)
    heat, exact, dense = (to_pixels(found, size, model.grid).cpu() for found in (heat, *maps))
    boxes = best_boxes(model, output, size_of(features), size)[0, parts].cpu()
    names = [_part_name(model, card, int(part)) for part in parts]
    probability = output.logits.softmax(dim=1)[0, label].item()
    bias, logit = model.classifier.bias, output.logits[0, label].item()
    sums = {"bias": 0.0 if bias is None else bias[label].item(), "logit": logit}
    title = f"{card.class_names[label]}, p = {probability:.3f}, logit {logit:.2f}"
    figure = photo_explanation(photo, exact, dense, heat, boxes, added[parts], names, title, **sums)
    paths = save_figure(figure, options.output)
    print(f"class        {label} ({card.class_names[label]})")
    print(f"probability  {probability:.4f}")
    lines = [f"{name}, pixels {box}" for name, box in zip(names, _on_photo(boxes, size, frame))]
    if model.mean_bag is not None:
        centred = centred_participation(model, output, classes, model.mean_bag)[0, parts].tolist()
        lines = [f"{line}, {value:+.4f} against the mean picture" for line, value in zip(lines, centred)]
    _print_sum(list(zip(added[parts].tolist(), lines)), len(added), **sums)
    _print_paths(paths)


def gallery(options: argparse.Namespace) -> int:
    """Write the figure of the pictures in which the parts of a class, or the most used ones, respond most."""
    model, card = _load_parts(options)
    data, (features, _), skipped = data_of_model(card, options)
    participation = class_participation(model, features, features.labels).participation
    label = None if options.class_ is None else _class_id(options.class_, card.class_names)
    importance = participation.abs().amax(dim=0) if label is None else participation[label]
    parts = importance.topk(min(options.parts, len(importance))).indices.cpu()
    best = top_images(model, features, min(options.pictures, len(features)))
    boxes = model.boxes(features.shape[-2:], picture_size(data.train))[best.regions[parts].cpu()]
    images = [[data.train[int(index)][0] for index in row] for row in best.images[parts]]
    names = [_part_name(model, card, int(part)) for part in parts]
    figure = part_gallery(images, boxes, best.responses[parts].cpu(), names, f"best pictures in {data.name}")
    _print_paths(save_figure(figure, options.output))
    return report_skips(skipped, options)


def info(options: argparse.Namespace) -> None:
    """Print each backend of part similarity: whether it can run here, on what, or why not."""
    for row in backend_report():
        detail = f" ({row['detail']})" if row["detail"] else ""
        print(f"part_similarity, {row['backend']}: {row['available']}{detail}")


def _load_parts(options: argparse.Namespace) -> tuple[PartClassifier, ModelCard]:
    model, card = load_model(options.model, options.backbone)
    if not isinstance(model, PartClassifier):
        raise ValueError(f"model: {options.model} holds the global baseline, which has no parts")
    return model.to(options.device), card


def _class_id(text: str, names: tuple[str, ...], predicted: int | None = None) -> int:
    """The class of this very name; else the predicted one, that of this id, or of this name in other letter cases."""
    if text in names:
        return names.index(text)
    if text == "predicted" and predicted is not None:
        return predicted
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    matches = [index for index, name in enumerate(names) if name.lower() == text.lower()]
    if len(matches) != 1:
        accepted = f"an id below {len(names)} or a name such as {names[0]!r}"
        raise ValueError(f"class: {text!r} is no class of this model; accepted: {accepted}")
    return matches[0]


def _part_name(model: PartClassifier, card: ModelCard, part: int) -> str:
    return f"{card.class_names[int(model.owner[part])]} #{part % model.parts_per_class}"


def _on_photo(
    boxes: Tensor, size: tuple[int, int], frame: tuple[float, float, float, float]
) -> list[list[int]]:
    """Boxes [n,4] on the network's input of `size` (H, W), which shows `frame` of a photograph, in its pixels."""
    first, last = torch.tensor(frame).split(2)
    corners = first + boxes.unflatten(1, (2, 2)) * (last - first) / torch.tensor(size[::-1])
    pixels: list[list[int]] = corners.flatten(1).round().int().tolist()
    return pixels


def _print_sum(shown: list[tuple[float, str]], num_parts: int, *, bias: float, logit: float) -> None:
    """The logit, and what adds up to it: the parts shown, all others together, the bias."""
    print(f"logit        {logit:.4f}")
    for value, line in shown:
        print(f"{value:+12.4f}  {line}")
    others = logit - bias - math.fsum(value for value, _ in shown)
    print(f"{others:+12.4f}  the other {num_parts - len(shown)} parts")
    print(f"{bias:+12.4f}  bias")


def _print_summary(table: pd.DataFrame, folder: Path) -> None:
    for _, row in table.iterrows():
        spread = "" if row["seeds"] == 1 else f" +- {row['test_accuracy std']:.2f}"
        accuracy_text = f"{row['test_accuracy mean']:.2f}{spread} %"
        print(
            f"{row['method']:8s} test {accuracy_text}, {row['seeds']} seeds, {row['seconds mean']:.0f} s each"
        )
    print(f"written  {folder / 'results.csv'}")
    print(f"models   {folder}/METHOD-seedN")


def _print_paths(paths: list[Path]) -> None:
    for path in paths:
        print(f"written      {path}")
