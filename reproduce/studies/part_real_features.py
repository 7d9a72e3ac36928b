"""DP-Net against its baseline on photographs, with frozen networks trained on ImageNet.

    python -m reproduce.studies.part_real_features --data DIR --output figures/studies

DIR holds scenes/ and birds/ (train and test/CLASS/picture) and weights/ of MobileNetV2 (without its head) and
SqueezeNet 1.1. For each pair recipe and rates of both methods, and the constraints' weights, are chosen by
cross-validation on the training pictures; the test pictures are used once, by the models that come out.
Writes a row as soon as it is measured; a second call computes what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from dpnet import ConstraintWeights, PartClassifier, PartRecipe, TrainingSettings, prepare, train
from dpnet.data.sources import BackboneSource, DataSource, open_features
from dpnet.model.evaluation import interpretability, predict
from dpnet.training.candidates import global_candidates, part_candidates
from dpnet.training.runs import Run
from dpnet.training.selection import FeatureSubset, choose, choose_weights
from reproduce.parts.choices import with_constraints
from reproduce.parts.models import CONSTRAINTS, parts_label

DATASETS = ("birds", "scenes")
BACKBONES = {
    "mobilenet_v2": ("mobilenet_v2_trunk.pth", None, {}),
    # Its weights were trained on pixels of 0 to 255 less a mean.
    "squeezenet1_1": (
        "squeezenet1_1.pth",
        "features",
        {"mean": (123 / 255, 117 / 255, 104 / 255), "std": (1 / 255,) * 3},
    ),
}
CONSTRAINT_BACKBONE = "mobilenet_v2"
SETTINGS = TrainingSettings(epochs=25, precision="bfloat16", diagnose_after=25)
PARTS_PER_CLASS, SEEDS, FOLDS, TOLERANCE = 10, 5, 3, 1.0
RESULTS, CHOICES = "dpnet_real_features_runs.csv", "dpnet_real_features_choices"


class Study:
    """The runs on one data set and network."""

    def __init__(self, data: Path, output: Path, cache: Path, dataset: str, backbone: str) -> None:
        file, layer, statistics = BACKBONES[backbone]
        source = BackboneSource(backbone, str(data / "weights" / file), layer, **statistics)
        pictures = DataSource(str(data / dataset), "folders", drop_shared=True).open(cache)
        caches = open_features(source.open(cache), source, pictures, cache, dtype="bfloat16")
        self.train, self.test = (read[torch.arange(len(read))] for read in caches)
        self.labels, self.test_labels = (read.labels for read in caches)
        self.classes = len(pictures.train.class_names)
        self.dataset, self.backbone, self.output = dataset, backbone, output

    def choose(self, is_global: bool) -> Run:
        """The candidate that cross-validation on the training pictures prefers."""
        if is_global:
            candidates = global_candidates(SETTINGS)
        else:
            candidates = part_candidates(SETTINGS, min(self.train.shape[-2:]), PartRecipe(PARTS_PER_CLASS))
        return choose(candidates, *self._given, folds=FOLDS, record=self._record)[0]

    def choose_weights(self, run: Run) -> ConstraintWeights:
        """The constraints' weights, from the same cross-validation."""
        return choose_weights(run, *self._given, tolerance=TOLERANCE, folds=FOLDS, record=self._record)

    def measure(self, run: Run, seed: int) -> dict[str, float]:
        """Train on all training pictures; figures on the test pictures."""
        model = run.recipe.build(self.train, self.labels, self.classes, seed)
        record = train(model, prepare(model, self.train), self.labels, replace(run.settings, seed=seed))
        given = prepare(model, self.test)
        hits = predict(model, given).argmax(dim=1) == self.test_labels
        row = {"accuracy": 100 * hits.double().mean().item(), "seconds": record.seconds}
        return row | (
            interpretability(model, given, self.test_labels) if isinstance(model, PartClassifier) else {}
        )

    @property
    def _given(self) -> tuple[Tensor | FeatureSubset, Tensor, int]:
        return self.train, self.labels, self.classes

    @property
    def _record(self) -> Path:
        return self.output / f"{CHOICES}_{self.dataset}_{self.backbone}.csv"


def main() -> int:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    given = os.environ.get("OPTICAM_DATA")
    parser.add_argument("--data", type=Path, default=given, required=given is None)
    parser.add_argument("--output", type=Path, default=Path("figures/studies"))
    parser.add_argument("--cache", type=Path, default=Path("cache/real"))
    parser.add_argument("--no-constraints", action="store_true", help="Global and Parts alone")
    options = parser.parse_args()
    for dataset in DATASETS:
        for backbone in BACKBONES:
            _compare(Study(options.data, options.output, options.cache, dataset, backbone))
    if not options.no_constraints:
        for dataset in DATASETS:
            _constrain(Study(options.data, options.output, options.cache, dataset, CONSTRAINT_BACKBONE))
    summary = summarise(pd.read_csv(options.output / RESULTS))
    summary.to_csv(options.output / "dpnet_real_features.csv", index=False, float_format="%.4g")
    text = markdown(summary, count_pictures(options.data))
    (options.output / "dpnet_real_features.md").write_text(text)
    print(summary.to_string(index=False, float_format="%.2f"))
    return 0


def _compare(study: Study) -> None:
    for method in ("Global", parts_label("none")):
        _seeds(study, method, study.choose(method == "Global"))


def _constrain(study: Study) -> None:
    run = study.choose(False)
    weights = study.choose_weights(run)
    for name, constraints in CONSTRAINTS.items():
        _seeds(study, parts_label(name), with_constraints(run, weights, constraints))


def _seeds(study: Study, method: str, run: Run) -> None:
    path = study.output / RESULTS
    known = (
        pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["dataset", "network", "method", "seed"])
    )
    for seed in range(SEEDS):
        key = {"dataset": study.dataset, "network": study.backbone, "method": method, "seed": seed}
        if (known[list(key)] == pd.Series(key)).all(axis=1).any():
            continue
        weights = run.settings.constraints
        used = {"chosen": run.name, "orthogonality": weights.orthogonality, "assignment": weights.assignment}
        used["class_specificity"] = weights.class_specificity
        row = pd.DataFrame([key | used | study.measure(run, seed)])
        known = pd.concat([known, row], ignore_index=True)
        known.to_csv(path, index=False, float_format="%.6g")


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per method: means over the seeds, the accuracy's spread, and its distance from Global's.

    ``delta_se`` is the standard error of that distance as of independent runs; ``paired_se`` that of the
    differences between runs with the same seed. Both are over the seeds alone; the test pictures are the same.
    """
    keys = ["dataset", "network", "method"]
    groups = runs.groupby(keys, sort=False)
    table = groups.mean(numeric_only=True).drop(columns="seed").rename(columns={"accuracy": "mean"})
    table.insert(0, "seeds", groups.size())
    table.insert(2, "sd", groups["accuracy"].std())
    error = groups["accuracy"].sem()
    baseline = table.xs("Global", level="method")["mean"]
    places = table.index.droplevel("method")
    table.insert(3, "delta", table["mean"] - baseline.reindex(places).to_numpy())
    own = error.xs("Global", level="method").reindex(places).to_numpy()
    table.insert(4, "delta_se", (error**2 + own**2) ** 0.5)
    table.insert(5, "paired_se", _paired_error(runs).reindex(table.index))
    table.insert(1, "chosen", groups["chosen"].first())
    table.loc[pd.IndexSlice[:, :, "Global"], ["delta", "delta_se", "paired_se"]] = float("nan")
    return table.reset_index()


def _paired_error(runs: pd.DataFrame) -> pd.Series:
    """Standard error over the seeds of accuracy less Global's with the same seed, by data, network and method."""
    wide = runs.pivot(index=["dataset", "network", "seed"], columns="method", values="accuracy")
    return wide.sub(wide["Global"], axis=0).groupby(["dataset", "network"]).sem().stack()


def count_pictures(data: Path) -> pd.DataFrame:
    """Columns dataset, train and test: how many pictures of each split the study uses."""
    rows = []
    for dataset in DATASETS:
        pictures = DataSource(str(data / dataset), "folders", drop_shared=True).open(data)
        rows.append((dataset, len(pictures.train), len(pictures.test)))
    return pd.DataFrame(rows, columns=["dataset", "train", "test"])


def markdown(summary: pd.DataFrame, pictures: pd.DataFrame) -> str:
    """The summary as a Markdown table, with what must be known to read it; pictures from `count_pictures`."""
    counts = "; ".join(f"{row.dataset} {row.train} and {row.test}" for row in pictures.itertuples())
    lines = [
        "# DP-Net on photographs: frozen networks trained on ImageNet",
        "",
        "Made by `python -m reproduce.studies.part_real_features --data DIR`; other pictures and networks than the",
        "paper's, so not comparable with its numbers. Test accuracy in %, mean and standard deviation over "
        f"{int(summary['seeds'].max())} seeds;",
        "the difference from Global in points with its standard error over seeds, as of independent runs and, paired,",
        "of the differences between runs with the same seed. Recipe, rates and constraint weights were chosen by",
        f"{FOLDS}-fold cross-validation on the training pictures. Training and test pictures: {counts}.",
        "",
        "| data | network | method | accuracy | less Global | paired error | seconds | chosen |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in summary.itertuples():
        delta = "" if pd.isna(row.delta) else f"{row.delta:+.1f} ± {row.delta_se:.1f}"
        paired = "" if pd.isna(row.paired_se) else f"{row.paired_se:.1f}"
        accuracy = f"{row.mean:.1f} ± {row.sd:.1f}"
        seconds = f"{row.seconds:.1f}"
        cells = row.dataset, row.network, row.method, accuracy, delta, paired, seconds, row.chosen
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
