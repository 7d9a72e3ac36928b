"""Both papers in one table: DP-Net's own maps and Opti-CAM's, explaining the same DP-Net classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pandas as pd
import torch

from dpnet import ParticipationMap, as_classifier
from opticam import METHODS
from opticam.saliency import SaliencyMethod
from opticam.sample import SampleSet
from reproduce.experiments.dpnet.main import UNCONSTRAINED
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.choices import definition
from reproduce.parts.data import dataset_split, part_backbone
from reproduce.parts.models import DEFINITION, PartRun, forget_dataset, load_model, planned, train_missing
from reproduce.published.numbers import labelled, published
from reproduce.saliency.explained_batch import Evaluated, View, timed_maps
from reproduce.saliency.metric_groups import GROUPS
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.processes import is_first, share, wait
from reproduce.workspace.sources import PROTOCOLS, Batch
from reproduce.workspace.store import batch_rows
from reproduce.workspace.workspace import Workspace

BATCH = 16
EXACT, DENSE = labelled("Participation", "exact"), labelled("Participation", "dense, CAM-like")
METRICS = ("AD", "AG", "AI", "insertion", "deletion", "LE", "SP", "EP")


class FaithfulnessTable(PartsExperiment):
    """AD, AG, AI, insertion, deletion and localisation of participation maps, Opti-CAM and Grad-CAM."""

    name = "dpnet-faithfulness"
    title = "Participation maps beside Opti-CAM and Grad-CAM, explaining DP-Net"

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """The unconstrained model of each data set of objects, first seed."""
        profile = workspace.parts
        objects = [name for name, paper in profile.datasets.items() if paper != "MIT-67"]
        return [PartRun(dataset, profile.constraint_backbone, UNCONSTRAINED, 0) for dataset in objects]

    def run(self, workspace: Workspace) -> None:
        """Explain and measure what is missing."""
        train_missing(workspace, self.runs(workspace))
        definitions = {
            run: definition(workspace, planned(workspace, run), run.backbone, run.dataset)
            for run in self.runs(workspace)
        }
        missing = [run for run, now in definitions.items() if not self._is_stored(workspace, run, now)]
        wait()  # nobody stores before all have looked
        if is_first():
            for run in missing:  # rows of another model, or of other pictures
                forget_dataset(workspace, workspace.of_models(self.name), run.dataset, network=run.backbone)
        wait()
        for run in share(missing):
            self._measure(workspace, run, definitions[run])
        wait()

    def forget(self, workspace: Workspace) -> None:
        """Delete what `run` has stored."""
        workspace.store.delete(workspace.profile.name, workspace.of_models(self.name))

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """One line a map, the mean over the pictures."""
        rows = self._frame(workspace, metric=METRICS)
        rows["dataset"] = rows["image"].str.split("/").str[0]
        found = cells(published("dpnet_main")[:0], summarise(rows) if len(rows) else None)
        order = [name for name in methods() if name in set(found["method"])]
        found = found.set_index("method").loc[order].reset_index() if len(found) else found
        which = (
            "the first test pictures"
            if workspace.parts.source == "sample"
            else "test pictures at even distances"
        )
        caption = (
            f"Maps of the same DP-Net classifier under the metrics of Opti-CAM on {which}; "
            "Fake-CAM is the whole image"
        )
        return {"dpnet_faithfulness": Table(found, caption, groups=("dataset", "network"))}

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """The pictures of each data set."""
        rows = self._frame(workspace, metric=METRICS)
        return {
            "dpnet_faithfulness": rows.assign(
                own=rows["network"], dataset=rows["image"].str.split("/").str[0]
            )
        }

    def _frame(self, workspace: Workspace, **keys: str | Sequence[str]) -> pd.DataFrame:
        return workspace.store.frame(workspace.profile.name, workspace.of_models(self.name), **keys)

    def _is_stored(self, workspace: Workspace, run: PartRun, now: float) -> bool:
        keys = {"network": run.backbone, "image": _model_key(workspace, run), "metric": DEFINITION}
        stored = self._frame(workspace, **keys).set_index("method")["value"]
        return all(stored.get(name) == now for name in methods())

    def _measure(self, workspace: Workspace, run: PartRun, now: float) -> None:
        model, backbone = (
            load_model(workspace, run),
            part_backbone(workspace, run.backbone, planned(workspace, run).layer),
        )
        classifier = as_classifier(backbone, model).to(workspace.device)
        for indices in explained_pictures(workspace, run).split(BATCH):
            batch = _batch(workspace, run.dataset, indices.tolist())
            view = View(classifier, batch, classifier(batch.images))
            for name, build in methods(workspace.parts.precision).items():
                values = _values(view, run.backbone, name, partial(build, classifier))
                keys = workspace.profile.name, workspace.of_models(self.name), run.backbone, name
                workspace.sink.write(batch_rows(*keys, batch.names, values))
        for name in methods():
            keys = workspace.profile.name, workspace.of_models(self.name), run.backbone, name
            workspace.sink.write(batch_rows(*keys, [_model_key(workspace, run)], {DEFINITION: [now]}))


def explained_pictures(workspace: Workspace, run: PartRun) -> torch.Tensor:
    """Positions of the test pictures that are explained, fewer in a first look.

    The first ones of drawn sets, where classes take turns; in folders, which are read class by class, pictures at even
    distances, so that each class has its share up to one picture.
    """
    data, count = dataset_split(workspace, run.dataset, "test"), workspace.parts.explained
    count = min(count, workspace.profile.limit or count, len(data))
    places = torch.arange(count)
    return places if isinstance(data, SampleSet) else places * len(data) // count


def _model_key(workspace: Workspace, run: PartRun) -> str:
    """Key in the store's image column of what the results of so many pictures were computed from."""
    count = len(explained_pictures(workspace, run))
    return f"{run.dataset}/model/{count}/{workspace.parts.precision}"


def methods(precision: str = "float32") -> dict[str, Callable[..., SaliencyMethod]]:
    """How each map of the table is made from the classifier, in the order of its lines.

    precision: that of the profile's part models; Opti-CAM's steps amplify rounding as their training does.
    """
    return {
        EXACT: partial(ParticipationMap, kind="exact"),
        DENSE: partial(ParticipationMap, kind="dense"),
        "Grad-CAM": METHODS["Grad-CAM"],
        "Opti-CAM": partial(METHODS["Opti-CAM"], precision="float64" if precision == "float64" else None),
        "Fake-CAM": METHODS["Fake-CAM"],
    }


def _batch(workspace: Workspace, dataset: str, indices: list[int]) -> Batch:
    data = dataset_split(workspace, dataset, "test")
    images, labels = zip(*(data[index] for index in indices))
    names = [f"{dataset}/test/{index:05d}" for index in indices]
    boxes = {}
    if isinstance(data, SampleSet):
        drawn = [data.boxes[index].float() for index in indices]
        boxes = {protocol: drawn for protocol in PROTOCOLS}
    return Batch(names, torch.stack(images), torch.tensor(labels), boxes).to(workspace.device)


def _values(view: View, network: str, name: str, build: partial[SaliencyMethod]) -> dict[str, torch.Tensor]:
    request = Request(network, name)
    method = build()
    given = Evaluated(view, request, lambda: method, lambda: timed_maps(view, lambda: method, None, None))
    found: dict[str, torch.Tensor] = {}
    for group in ("faithfulness", "causal", *(["localization"] if view.batch.boxes else [])):
        found |= GROUPS[group].compute(given)
    return {metric: found[metric] for metric in METRICS if metric in found}
