"""Insertion and deletion of a batch against a plain RISE-style loop, at the same network.

    python -m reproduce.benchmarks.causal --network squeezenet1_1 --images 4 --output causal.csv

The plain loop is what RISE's evaluation does: one image at a time, one stage at a time, pixels changed in a host
array that is copied to the network again. Both sides measure 224 steps of insertion and of deletion; the CSV has
one row a side and repetition, with the largest difference of their areas.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from opticam.classifier import Classifier
from opticam.metrics import deletion, insertion, rise_blur
from reproduce.benchmarks.environment import environment

STEPS = 224
SOURCES = ("opticam/metrics/causal.py", "opticam/masking", "csrc/opticam", "reproduce/benchmarks/causal.py")


def fused(classifier: Callable[[Tensor], Tensor], images: Tensor, maps: Tensor) -> Tensor:
    """Areas [2, B] of insertion and deletion through `opticam.metrics`."""
    return torch.stack([metric(classifier, images, maps).auc for metric in (insertion, deletion)]).cpu()


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
    portion = -(-len(order) // STEPS)
    pixels, goal = start.cpu().numpy().reshape(3, -1).copy(), finish.cpu().numpy().reshape(3, -1)
    scores = []
    for stage in range(STEPS + 1):
        current = torch.from_numpy(pixels).view(1, *image.shape).to(image.device)
        scores.append(classifier(current).softmax(1)[0, target].item())
        chosen = order[stage * portion : (stage + 1) * portion]
        pixels[:, chosen] = goal[:, chosen]
    return 100 * (sum(scores) - scores[0] / 2 - scores[-1] / 2) / STEPS


def compare(classifier: Classifier, images: Tensor, maps: Tensor, repeats: int) -> pd.DataFrame:
    """One row a side and repetition: seconds for the batch, and the difference of the areas in percent points."""
    rows = []
    for repetition in range(repeats):
        areas = {}
        for name, side in (("plain loop", plain), ("opticam.metrics", fused)):
            _synchronize(images.device)
            start = time.perf_counter()
            areas[name] = side(classifier, images, maps)
            seconds = time.perf_counter() - start
            rows.append({"side": name, "repetition": repetition, "seconds": seconds})
        difference = (areas["plain loop"] - areas["opticam.metrics"]).abs().max().item()
        for row in rows[-2:]:
            row["largest_difference"] = difference
    return pd.DataFrame(rows)


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time insertion and deletion against a plain loop.")
    parser.add_argument(
        "--network", default="squeezenet1_1", help="torchvision name; weights do not matter here"
    )
    parser.add_argument("--images", type=int, default=4, help="images in the batch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    return parser.parse_args()


def main() -> None:
    """Write the CSV and print the median times and their ratio."""
    options = _arguments()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.images, 3, 224, 224, generator=generator).to(options.device)
    maps = torch.rand(options.images, 224, 224, generator=generator).to(options.device)
    classifier = Classifier.from_name(options.network, weights=None).to(options.device)
    classifier(images)  # the first pass pays for allocations
    table = compare(classifier, images, maps, options.repeats)
    facts = {"network": options.network, "images": options.images} | environment(options.device, SOURCES)
    table.assign(**facts).to_csv(options.output, index=False)
    medians = table.groupby("side")["seconds"].median()
    ratio = medians["plain loop"] / medians["opticam.metrics"]
    print(f"plain loop {medians['plain loop']:.2f} s, opticam.metrics {medians['opticam.metrics']:.2f} s")
    print(f"ratio {ratio:.2f}, largest difference of an area {table['largest_difference'].max():.1e} points")


if __name__ == "__main__":
    main()
