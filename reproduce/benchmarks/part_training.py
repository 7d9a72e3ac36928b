"""Time and memory of training the part layer on cached features of the size of CUB-200-2011.

    python -m reproduce.benchmarks.part_training --out DIR [--device cpu|cuda] [--images N]

The features are a random stand-in, [11788, 2048, 7, 7] in bfloat16 as `dpnet train` caches them, written in shards
to a temporary folder and read through memory maps; 200 classes with 10 parts each, batches of 64. Rows go to
DIR/part_training_DEVICE.csv: one per epoch, without and with the assignment entropy, with the memory
of the process that no file backs at the epoch's end, which must not grow from the second epoch on. A plot goes beside
the CSV, with the suffix .svg.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from dpnet import ConstraintWeights, PartClassifier, TrainingSettings
from dpnet.data.features import FeatureCache
from dpnet.data.manifest import Manifest, write_manifest
from dpnet.training.loop import build_optimiser, train_epoch
from opticam.data.files import save_tensors
from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.harness import Record, benchmark_parser

KEYS = ("constraints", "images")
SOURCES = ("dpnet", "csrc/common", "csrc/dpnet", "reproduce/benchmarks/part_training.py")
CLASSES, PARTS_PER_CLASS, EPOCHS = 200, 10, 3
SHAPE = (2048, 7, 7)
STATUS = Path("/proc/self/status")


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


def measure(features: FeatureCache, constraints: tuple[str, ...], device: str) -> Iterator[dict[str, object]]:
    """One row per epoch."""
    torch.manual_seed(0)
    model = PartClassifier(SHAPE[0], CLASSES, PARTS_PER_CLASS).to(device)
    settings = TrainingSettings(
        epochs=EPOCHS, precision="bfloat16", constraints=ConstraintWeights.named(*constraints)
    )
    optimiser = build_optimiser(model, settings)
    for epoch in range(EPOCHS):
        entry = train_epoch(model, model, optimiser, features, features.labels, settings, epoch)
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
    options = parser.parse_args()
    record = Record.of("part_training", KEYS, SOURCES, options)
    groups = {c: dict(zip(KEYS, ("+".join(c) or "none", options.images))) for c in ((), ("assignment",))}
    pending = {constraints: group for constraints, group in groups.items() if record.pending(group)}
    if pending:
        with tempfile.TemporaryDirectory() as folder:
            features = stand_in(Path(folder), options.images)
            for constraints, group in pending.items():
                record.add(group, measure(features, constraints, options.device))
    rows = pd.read_csv(record.path)
    plot(rows, record.path.with_suffix(".svg"))
    print(rows.drop(columns=list(record.facts)).to_string(index=False))


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Seconds of each epoch, one panel per set of constraints."""
    panels = {
        f"constraints: {name}": group.set_index("epoch")["seconds"].rename("epoch {}".format)
        for name, group in rows.groupby("constraints", sort=False)
    }
    plot_bars(panels, f"seconds per epoch of {rows['images'].iloc[0]:,} images", path)


if __name__ == "__main__":
    main()
