"""Insertion and deletion of a batch against a plain RISE-style loop, at the same network.

    python -m reproduce.benchmarks.causal --network sample_resnet squeezenet1_1 --output causal_cpu.csv

The plain loop is what RISE's evaluation does: one image at a time, one stage at a time, pixels changed in a host
array that is copied to the network again. It runs twice: with the network as it is built, and with the faster copy
that `Classifier` makes by default and `opticam.metrics` uses too; so the CSV tells what the faster copy and what the
batches bring. "opticam.metrics, half" runs the network in bfloat16. "network alone" is the floor of both: as many
forward passes, of images that are ready. Every side measures as many steps of insertion and of deletion as the image
has rows: 224 for 224 x 224 pixels, 64 for the sample networks. There is one row per network, side and repetition, with
the largest difference of an area from the plain loop's; rows of other networks that the CSV holds stay. A table and a
plot go beside the CSV, with the suffixes .md and .svg. Weights are random: they do not change the time, but a random
network's probabilities hardly differ, so the difference of areas under "half" says little about a trained one.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from opticam.batches import default_batch
from opticam.classifier import Classifier
from opticam.metrics import deletion, insertion, rise_blur
from opticam.networks import build_network
from opticam.optimization import LEVELS
from opticam.sample import SAMPLE_NETWORKS
from opticam.sample.architectures import build_sample_network
from opticam.sample.pictures import SAMPLE_SIZE
from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.environment import environment

DESCRIPTION = "Time insertion and deletion against a plain loop."
SOURCES = ("opticam/metrics/causal.py", "opticam/masking", "csrc/opticam", "reproduce/benchmarks/causal")


def fused(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> Tensor:
    """Areas [2, B] of insertion and deletion through `opticam.metrics`."""
    return torch.stack(
        [metric(classifier, images, maps, steps=maps.shape[1]).auc for metric in (insertion, deletion)]
    )


def plain(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> Tensor:
    """The same areas [2, B] by a plain loop over images and stages."""
    blurred, black = rise_blur(images), torch.zeros_like(images)
    areas = [
        [_plain_area(classifier, image, saliency_map, start, finish) for start, finish in ends]
        for image, saliency_map, ends in (
            (images[i], maps[i], ((blurred[i], images[i]), (images[i], black[i]))) for i in range(len(images))
        )
    ]
    return torch.tensor(areas).T


@torch.no_grad()
def _plain_area(
    classifier: Callable[[Tensor], Tensor], image: Tensor, saliency_map: Tensor, start: Tensor, finish: Tensor
) -> float:
    target = classifier(image[None])[0].argmax()
    order = np.flip(np.argsort(saliency_map.cpu().numpy().ravel(), kind="stable"))
    steps, portion = saliency_map.shape
    pixels, goal = start.cpu().numpy().reshape(3, -1).copy(), finish.cpu().numpy().reshape(3, -1)
    scores = []
    for stage in range(steps + 1):
        current = torch.from_numpy(pixels).view(1, *image.shape).to(image.device)
        scores.append(classifier(current).softmax(1)[0, target].item())
        chosen = order[stage * portion : (stage + 1) * portion]
        pixels[:, chosen] = goal[:, chosen]
    return 100 * (sum(scores) - scores[0] / 2 - scores[-1] / 2) / steps


def compare(networks: dict[str, Classifier], images: Tensor, maps: Tensor, repeats: int) -> pd.DataFrame:
    """One row per side and repetition: seconds for the batch, and the difference of the areas in points."""
    sides = {
        "plain loop": (plain, networks["exact"]),
        "plain loop, faster network": (plain, networks["fast"]),
        "opticam.metrics": (fused, networks["fast"]),
        "network alone": (_forward_passes, networks["fast"]),
        "opticam.metrics, half": (fused, networks["half"]),
        "network alone, half": (_forward_passes, networks["half"]),
    }
    rows = []
    for repetition in range(repeats):
        reference: Tensor | None = None
        for name, (side, classifier) in sides.items():
            _synchronize(images.device)
            start, work = time.perf_counter(), time.process_time()
            areas = side(classifier, images, maps)
            seconds, work = time.perf_counter() - start, time.process_time() - work
            reference = areas if reference is None else reference
            difference = (
                None if areas is None or reference is None else (areas - reference).abs().max().item()
            )
            row = {"side": name, "repetition": repetition, "seconds": seconds, "cpu_seconds": work}
            rows.append(row | {"largest_difference": difference})
    return pd.DataFrame(rows)


@torch.no_grad()
def _forward_passes(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> None:
    """As many passes as insertion and deletion make, in the batches that they make."""
    batch = images.repeat(-(-default_batch(images) // len(images)), 1, 1, 1)[: default_batch(images)]
    for part in torch.arange(2 * len(images) * (maps.shape[1] + 1)).split(len(batch)):
        classifier(batch[: len(part)])


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _networks(name: str, device: str) -> dict[str, Classifier]:
    """The same randomly initialised network at the levels of `Classifier`."""
    torch.manual_seed(0)
    build = build_sample_network if name in SAMPLE_NETWORKS else lambda name: build_network(name, None)
    network = build(name).to(device)
    return {level: Classifier(copy.deepcopy(network), optimize=level).to(device) for level in LEVELS}


def _measure(name: str, options: argparse.Namespace) -> pd.DataFrame:
    side = SAMPLE_SIZE if name in SAMPLE_NETWORKS else 224
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, side, side, generator=generator).to(options.device)
    maps = torch.rand(options.images, side, side, generator=generator).to(options.device)
    networks = _networks(name, options.device)
    for classifier in networks.values():
        classifier(images)  # the first pass pays for allocations
    facts = {"network": name, "images": options.images} | environment(options.device, SOURCES)
    return compare(networks, images, maps, options.repeats).assign(**facts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=DESCRIPTION)
    parser.add_argument(
        "--network", nargs="+", default=["sample_resnet"], help="torchvision or sample networks"
    )
    parser.add_argument("--images", type=int, default=4, help="images in the batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    return parser.parse_args()


def main() -> None:
    """Write the CSV and its table, and print the table."""
    options = _arguments()
    known = pd.read_csv(options.output) if options.output.exists() else pd.DataFrame({"network": []})
    tables = [known[~known["network"].isin(options.network)]]
    for name in options.network:
        tables.append(_measure(name, options))
        pd.concat([table for table in tables if len(table)]).to_csv(options.output, index=False)
    rows = pd.read_csv(options.output)
    text = markdown(rows)
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    plot(rows, options.output.with_suffix(".svg"))
    print(text)


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Best seconds of each side, one panel per network."""
    best = rows.groupby(["network", "images", "side"], sort=False)["seconds"].min()
    panels = {
        f"{network}, batch of {images}": best[network, images]
        for network, images in best.index.droplevel("side").unique()
    }
    plot_bars(panels, "seconds for insertion and deletion of the batch", path)


def markdown(rows: pd.DataFrame) -> str:
    """Best seconds of each side per network, how much faster than the plain loop, and the difference of areas."""
    first = rows.iloc[0]
    threads = "" if pd.isna(first.threads) else f", {first.threads:.0f} threads"
    lines = [
        f"# Insertion and deletion on {first.device}",
        "",
        f"Commit {first.commit}, PyTorch {first.torch}{threads}. Best of the repetitions. The network alone, as many",
        "forward passes, is the floor of the line above it.",
        "",
        "| network | images | side | seconds | x plain loop | largest difference of an area (points) |",
        "|---|---|---|---|---|---|",
    ]
    for (network, images), group in rows.groupby(["network", "images"], sort=False):
        best = group.groupby("side", sort=False)[["seconds", "largest_difference"]].min()
        for side, (seconds, difference) in best.iterrows():
            times = best.seconds["plain loop"] / seconds
            apart = "" if pd.isna(difference) else f"{difference:.1e}"
            lines.append(f"| {network} | {images} | {side} | {seconds:.2f} | {times:.1f} | {apart} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
