"""Time and memory of training the part layer on cached features of the size of CUB-200-2011, beside eager PyTorch.

    python -m reproduce.benchmarks.part_training --out DIR [--device cpu|cuda] [--images N] [--classes 200 1000]

The features are a random stand-in, [11788, 2048, 7, 7] in bfloat16 as `dpnet train` caches them, written in shards
to a temporary folder and read through memory maps; 10 parts for each class, batches of 64. The sides differ in part
similarity alone: ours, the fastest form of eager PyTorch, and that compiled. Rows go to DIR/part_training_DEVICE.csv:
one per epoch, without and with the assignment entropy, with the memory of the process that no file backs at the
epoch's end, which must not grow from the second epoch on. A plot goes beside the CSV, with the suffix .svg.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dpnet import ConstraintWeights, PartClassifier, TrainingSettings
from dpnet.data.features import FeatureCache
from dpnet.data.manifest import Manifest, write_manifest
from dpnet.model import part_layer
from dpnet.similarity import part_similarity
from dpnet.training.loop import build_optimiser, train_epoch
from opticam.data.files import save_tensors
from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.similarity.exact import check as check_step
from reproduce.benchmarks.similarity.exact import exact_results
from reproduce.benchmarks.similarity.rivals import Result, Rival
from reproduce.benchmarks.similarity.rivals import eager as plain

KEYS = ("side", "parts", "constraints", "images")
SOURCES = (
    "dpnet",
    "csrc/common",
    "csrc/dpnet",
    *(
        f"reproduce/benchmarks/{part}.py"
        for part in ("part_training", "similarity/exact", "similarity/rivals")
    ),
)
CLASSES, PARTS_PER_CLASS, EPOCHS = 200, 10, 3
EAGER = "eager max, parts last"
"""The eager form that is fastest where the argmax is wanted, too."""
SHAPE = (2048, 7, 7)
STATUS = Path("/proc/self/status")


def sides() -> dict[str, Callable[..., Result]]:
    """Name to what stands in the place of `part_similarity`."""
    eager = partial(plain, reduce="max", parts_last=True)
    compiled = torch.compile(eager, dynamic=False)
    return {
        "ours": part_similarity,
        EAGER: without_backend(eager),
        "torch.compile": without_backend(compiled),
    }


def without_backend(rival: Rival) -> Callable[..., Result]:
    """A rival, called as the part layer calls `part_similarity`."""

    def call(parts: Tensor, regions: Tensor, temperature: float | None, backend: str) -> Result:
        return rival(parts, regions, temperature)

    return call


def check(similarity: Callable[..., Result], model: PartClassifier, device: str) -> None:
    """Raise ValueError unless scores, entropies and gradients are float64's up to bfloat16's rounding."""
    temperature, generator = model.temperature, torch.Generator().manual_seed(0)
    regions = normalize(torch.randn(2, SHAPE[1] * SHAPE[2], SHAPE[0], generator=generator), dim=2)
    regions, parts = regions.bfloat16().to(device), model.parts.detach().requires_grad_()
    tolerance = 4 * 2.0**-8  # rounding of a factor, and of a product of unit rows
    exact = exact_results(parts, regions, temperature, tolerance)
    check_step(partial(similarity, backend="auto"), parts, regions, temperature, True, exact, tolerance)


def stand_in(folder: Path, count: int) -> FeatureCache:
    """Random features and labels in the cache's format."""
    manifest = Manifest("stand-in", "", "", (224, 224), ((0.0,) * 3, (1.0,) * 3), "CUB size", "", count)
    write_manifest(folder, manifest)
    generator = torch.Generator().manual_seed(0)
    for shard in range(manifest.num_shards):
        size = len(manifest.shard_indices(shard))
        maps = torch.rand(size, *SHAPE, generator=generator).bfloat16()
        labels = torch.randint(0, CLASSES, (size,), generator=generator)
        save_tensors(folder / manifest.shard_name(shard), {"features": maps, "labels": labels})
    return FeatureCache(folder, manifest)


def own_megabytes() -> float:
    """Memory of this process that no file backs; NaN where the system does not tell."""
    if not STATUS.exists():
        return float("nan")
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1000


def measure(
    features: FeatureCache,
    classes: int,
    constraints: tuple[str, ...],
    similarity: Callable[..., Result],
    device: str,
) -> Iterator[dict[str, object]]:
    """One row per epoch."""
    torch.manual_seed(0)
    torch.compiler.reset()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    model = PartClassifier(SHAPE[0], classes, PARTS_PER_CLASS).to(device)
    check(similarity, model, device)
    settings = TrainingSettings(
        epochs=EPOCHS, precision="bfloat16", constraints=ConstraintWeights.named(*constraints)
    )
    optimiser = build_optimiser(model, settings)
    for epoch in range(EPOCHS):
        with patch.object(part_layer, "part_similarity", similarity):
            entry = train_epoch(model, model, optimiser, features, features.labels % classes, settings, epoch)
        yield {
            "epoch": epoch,
            "seconds": round(entry["seconds"], 2),
            "images_a_second": round(len(features) / entry["seconds"]),
            "own_mb": round(own_megabytes()),
            "gpu_mb": round(torch.cuda.max_memory_allocated() / 1e6) if device == "cuda" else "",
        }


def main() -> None:
    """Write the CSV and its plot, and print what was measured."""
    parser = benchmark_parser(__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=11_788)
    parser.add_argument("--classes", type=int, nargs="+", default=[CLASSES], help="1000 are ImageNet's")
    options = parser.parse_args()
    record = Record.of("part_training", KEYS, SOURCES, options)
    with tempfile.TemporaryDirectory() as folder:
        features = None
        for classes, constraints in itertools.product(options.classes, ((), ("assignment",))):
            for side, similarity in sides().items():
                parts = classes * PARTS_PER_CLASS
                group = dict(zip(KEYS, (side, parts, "+".join(constraints) or "none", options.images)))
                if not record.pending(group):
                    continue
                features = features or stand_in(Path(folder), options.images)
                record.add(group, measure(features, classes, constraints, similarity, options.device))
    rows = pd.read_csv(record.path)
    plot(rows, record.path.with_suffix(".svg"))
    print(rows.drop(columns=list(record.facts)).to_string(index=False))


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Images a second of each side's fastest epoch, one panel per set of constraints and number of parts."""
    panels = {
        f"{parts:,} parts, constraints: {name}": group.groupby("side", sort=False)["images_a_second"].max()
        for (parts, name), group in rows.groupby(["parts", "constraints"], sort=False)
    }
    plot_bars(panels, f"images a second, of {rows['images'].iloc[0]:,} an epoch", path)


if __name__ == "__main__":
    main()
