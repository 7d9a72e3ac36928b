"""Insertion and deletion of a batch against a plain RISE-style loop, at the same network.

    python -m reproduce.benchmarks.causal --network sample_resnet squeezenet1_1 --output causal.csv

The plain loop is what RISE's evaluation does: one image at a time, one stage at a time, pixels changed in a host
array that is copied to the network again. It runs twice: with the network as it is built, and with the faster copy
that `Classifier` makes by default and `opticam.metrics` uses too; so the CSV tells what the faster copy and what the
batches bring. Every side measures as many steps of insertion and of deletion as the image has rows: 224 for
224 x 224 pixels, 64 for the sample networks. There is one row a network, side and repetition, with the largest
difference of an area from the plain loop's. Weights are random: they do not change the time. On a machine that does
other work too, compare processor time on one thread (OMP_NUM_THREADS=1).
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

from opticam.classifier import Classifier
from opticam.data.architectures import SAMPLE_NETWORKS, build_sample_network
from opticam.data.sample import SAMPLE_SIZE
from opticam.metrics import deletion, insertion, rise_blur
from opticam.networks import build_network
from reproduce.benchmarks.environment import environment

DESCRIPTION = "Time insertion and deletion against a plain loop."
SOURCES = ("opticam/metrics/causal.py", "opticam/masking", "csrc/opticam", "reproduce/benchmarks/causal.py")


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
    classifier: Callable, image: Tensor, saliency_map: Tensor, start: Tensor, finish: Tensor
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
    """One row a side and repetition: seconds for the batch, and the difference of the areas in points."""
    sides = {
        "plain loop": (plain, networks["exact"]),
        "plain loop, faster network": (plain, networks["fast"]),
        "opticam.metrics": (fused, networks["fast"]),
    }
    rows = []
    for repetition in range(repeats):
        reference = None
        for name, (side, classifier) in sides.items():
            _synchronize(images.device)
            start, work = time.perf_counter(), time.process_time()
            areas = side(classifier, images, maps)
            seconds, work = time.perf_counter() - start, time.process_time() - work
            reference = areas if reference is None else reference
            difference = (areas - reference).abs().max().item()
            row = {"side": name, "repetition": repetition, "seconds": seconds, "cpu_seconds": work}
            rows.append(row | {"largest_difference": difference})
    return pd.DataFrame(rows)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _networks(name: str, device: str) -> dict[str, Classifier]:
    """The same randomly initialised network at both levels of `Classifier`."""
    torch.manual_seed(0)
    build = build_sample_network if name in SAMPLE_NETWORKS else lambda name: build_network(name, None)
    network = build(name).to(device)
    levels = ("exact", "fast")
    return {level: Classifier(copy.deepcopy(network), optimize=level).to(device) for level in levels}


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
    """Write the CSV and print each side's best time and its ratio to that of `opticam.metrics`."""
    options = _arguments()
    tables = []
    for name in options.network:
        tables.append(_measure(name, options))
        pd.concat(tables).to_csv(options.output, index=False)
        best = tables[-1].groupby("side", sort=False)[["seconds", "cpu_seconds"]].min()
        ratio = best / best.loc["opticam.metrics"]
        for side, (seconds, work) in best.iterrows():
            print(f"{name:16} {side:28} {seconds:7.2f} s {ratio.seconds[side]:5.2f} x", end="")
            print(f", processor time {work:7.2f} s {ratio.cpu_seconds[side]:5.2f} x")
        print(f"{name:16} largest difference of an area {tables[-1]['largest_difference'].max():.1e} points")


if __name__ == "__main__":
    main()
