"""Insertion and deletion of a batch against a plain RISE-style loop, at the same network.

    python -m reproduce.benchmarks.causal --network sample_resnet squeezenet1_1 --out DIR

The plain loop is what RISE's evaluation does: one image at a time, one stage at a time, pixels changed in a
host array that is copied to the network again. It runs twice: with the network as it is built, and with the
faster copy that `Classifier` makes by default and `opticam.metrics` uses too; so the CSV tells what the
faster copy and what the batches bring. "opticam.metrics, half" runs the network in bfloat16. "network alone"
is the floor of both: as many forward passes, of images that are ready. Every side measures as many steps of
insertion and of deletion as the image has rows: 224 for 224 x 224 pixels, 64 for the sample networks. Rows go
to DIR/causal_DEVICE.csv, one per network, side and repetition, with the largest difference of an area from
the plain loop's; rows of other networks that the CSV holds stay. A table and a plot go beside it, with the
suffixes .md and .svg. Weights are random: they do not change the time, but a random network's probabilities
hardly differ, so the difference of areas under "half" says little about a trained one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from opticam.classifier import Classifier
from opticam.sample import SAMPLE_NETWORKS
from opticam.sample.pictures import SAMPLE_SIZE
from reproduce.benchmarks.causal.report import markdown, plot, summary
from reproduce.benchmarks.causal.sides import forward_passes, fused, networks, plain
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.reports import write_report
from reproduce.workspace.stopwatch import stopwatch

SOURCES = (
    "csrc/common",
    "csrc/opticam",
    "opticam/masking",
    "opticam/metrics/causal.py",
    *(f"reproduce/benchmarks/causal/{part}.py" for part in ("__main__", "sides")),
)
KEYS = ("network", "images")


def compare(
    levels: dict[str, Classifier], images: Tensor, maps: Tensor, repeats: int
) -> Iterator[dict[str, object]]:
    """One row per side and repetition: seconds for the batch, and the difference of the areas in points."""
    sides: dict[str, tuple[Callable[..., Tensor | None], Classifier]] = {
        "plain loop": (plain, levels["exact"]),
        "plain loop, faster network": (plain, levels["fast"]),
        "opticam.metrics": (fused, levels["fast"]),
        "network alone": (forward_passes, levels["fast"]),
        "opticam.metrics, half": (fused, levels["half"]),
        "network alone, half": (forward_passes, levels["half"]),
    }
    for repetition in range(repeats):
        reference: Tensor | None = None
        for name, (side, classifier) in sides.items():
            areas, spent = stopwatch(partial(side, classifier, images, maps), images.device)
            reference = areas if reference is None else reference
            apart = None if areas is None or reference is None else (areas - reference).abs().max().item()
            yield {"side": name, "repetition": repetition, **spent._asdict(), "largest_difference": apart}


def measure(name: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """The rows of one network."""
    side = SAMPLE_SIZE if name in SAMPLE_NETWORKS else 224
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, side, side, generator=generator).to(options.device)
    maps = torch.rand(options.images, side, side, generator=generator).to(options.device)
    levels = networks(name, options.device)
    for classifier in levels.values():
        classifier(images)  # the first pass pays for allocations
    yield from compare(levels, images, maps, options.repeats)


def main() -> None:
    """Write the CSV, its table and its plot, and print the table."""
    parser = benchmark_parser("Time insertion and deletion against a plain loop.")
    parser.add_argument(
        "--network", nargs="+", default=["sample_resnet"], help="torchvision or sample networks"
    )
    parser.add_argument("--images", type=int, default=4, help="images in the batch")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    record = Record.of("causal", KEYS, SOURCES, options)
    for name in options.network:
        group = dict(zip(KEYS, (name, options.images)))
        if record.pending(group):
            record.add(group, measure(name, options))
    write_report(record.path, summary, markdown, plot)
    print(record.path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
