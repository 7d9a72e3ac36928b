"""Train the sample networks anew and say how they differ from those that the project keeps."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from opticam.sample import SAMPLE_NETWORKS, sample_network, sample_set
from opticam.sample.network_training import normalised
from opticam.sample.networks import DEFAULT_SETTINGS


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `python -m reproduce train-sample`."""
    parser.add_argument("--out", type=Path, default=Path("cache"), help="folder for the new weights")
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=SAMPLE_NETWORKS,
        default=SAMPLE_NETWORKS,
        help="which to train; default: all",
    )


def run(options: argparse.Namespace) -> int:
    """Train each network into the folder unless it is there; one line on each."""
    held_out = sample_set("many", "test", options.out)
    for name in options.networks:
        kept, record = sample_network(name)
        fresh, trained = sample_network(name, options.out, settings=DEFAULT_SETTINGS[name])
        print(
            f"{name}: accuracy {trained.accuracy:.2f} %, the project's {record.accuracy:.2f} %; "
            f"same class on {agreement(kept, fresh, held_out.images):.1f} % of {len(held_out)} pictures"
        )
    return 0


@torch.no_grad()
def agreement(first: torch.nn.Module, second: torch.nn.Module, images: torch.Tensor) -> float:
    """Share of uint8 images [N,3,64,64], in percent, that two networks put into the same class."""
    same = 0
    for batch in images.split(100):
        pixels = normalised(batch, "cpu")
        same += int((first(pixels).argmax(1) == second(pixels).argmax(1)).sum())
    return 100 * same / len(images)
