"""`python -m reproduce plan`: images, passes and hours of each experiment, from speeds measured here in a minute."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pandas as pd
import torch

from opticam import Classifier
from opticam.networks import build_network, pixel_statistics
from reproduce.benchmarks.timing import take_turns
from reproduce.cli.opening import select, workspace
from reproduce.cli.options import command_line
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment
from reproduce.saliency.evaluation import due_groups
from reproduce.saliency.passes import Passes, of_images
from reproduce.saliency.requests import Request, by_network
from reproduce.workspace.profile import PICTURE_SIZE
from reproduce.workspace.workspace import SAMPLE, Workspace

WHOLE = 50_000
SECONDS = 50.0
"""What all measurements together may take."""
SIZES = (500, 1000, 5000, WHOLE)


class Names:
    """Stands for pictures that are not there: the number and names of ImageNet's validation set."""

    has_boxes = has_labels = True
    boxes_fingerprint = ""
    size = (PICTURE_SIZE, PICTURE_SIZE)
    class_names = None
    fingerprint = "planned"

    def __init__(self) -> None:
        self.names = [f"ILSVRC2012_val_{number:08d}" for number in range(1, WHOLE + 1)]


class Planned(Workspace):
    """A workspace whose networks have random weights, as they cost the same, so that nothing is downloaded."""

    def _classifier(self, network: str) -> Classifier:
        if network.startswith(SAMPLE):
            return super()._classifier(network)
        mean, std = pixel_statistics(network)
        layer = self.saliency.layers.get(network)
        built = Classifier(build_network(network), layer, mean=mean, std=std, optimize=self.optimize)
        return built.to(self.device)


@dataclass(frozen=True)
class Speed:
    """Seconds of one image forward, and forward and backward; channels of the target layer."""

    forward: float
    both: float
    channels: int

    def seconds(self, passes: Passes) -> float:
        """What passes take; those with a backward pass are among the forward ones."""
        return self.forward * (passes.forward - passes.backward) + self.both * passes.backward


def run(options: argparse.Namespace) -> int:
    """Print the table, what all of it takes, what fewer images cost, and the line that shares it among GPUs."""
    given = workspace(options)
    planned = Planned(given.profile, given.real, given.results, device=given.device, progress=False,
                      optimize=given.optimize)  # fmt: skip
    if planned.saliency.source == "folder" and given.real.images is None:
        planned.__dict__["source"] = Names()
    experiments = [e for e in select(options.only, given.profile) if isinstance(e, SaliencyExperiment)]
    wanted = {experiment.name: list(experiment.requests(planned)) for experiment in experiments}
    networks = dict.fromkeys(request.network for requests in wanted.values() for request in requests)
    speeds = {name: measure(planned, name, SECONDS / (2 * len(networks))) for name in networks}
    rows = [_row(name, requests, planned, speeds) for name, requests in wanted.items()]
    together = _row("all, maps shared", list(chain(*wanted.values())), planned, speeds)
    print(pd.DataFrame([*rows, together]).to_string(index=False, formatters=COLUMNS))
    for name, speed in speeds.items():
        print(f"{name}: {1e3 * speed.forward:.1f} ms an image forward, {1e3 * speed.both:.1f} ms with its gradient, "
              f"{speed.channels} channels ({planned.optimize}, {planned.device.type})")  # fmt: skip
    images = len(planned.source.names)
    for size in (size for size in SIZES if size <= images):
        width = 98 / size**0.5
        print(f"--limit {size}: about {_hours(together['hours'] * size / images)} h at most; a mean in percent is "
              f"known to +-{width:.1f} points or less")  # fmt: skip
    line = command_line(options, "run").removeprefix("python ")
    print(f"on N GPUs, in 1/N of the time: torchrun --nproc-per-node N {line}")
    return 0


def measure(planned: Workspace, network: str, seconds: float) -> Speed:
    """The speed of one network on random pictures, the best of as many batches as fit into the time."""
    classifier = planned.classifier(network)
    images = torch.rand(planned.saliency.batch_size, 3, *planned.source.size, device=planned.device)
    channels = classifier.features(images[:1]).shape[1]

    @torch.no_grad()
    def forward() -> None:
        classifier(images)

    def both() -> None:
        leaf = images.clone().requires_grad_()
        with classifier.frozen():
            classifier(leaf).sum().backward()

    calls = {"forward": forward, "both": both}
    times = take_turns(calls, planned.device.type, turns=1, seconds=seconds)
    best = {name: min(spent) / 1000 / len(images) for name, spent in times.items()}
    return Speed(best["forward"], best["both"], channels)


def _row(
    name: str, requests: Sequence[Request], planned: Workspace, speeds: dict[str, Speed]
) -> dict[str, Any]:
    """Each map is made once, on as many images as anything is measured on, and each group of metrics on its own."""
    total, seconds, images = Passes(), 0.0, 0
    everything = range(len(planned.source.names))
    for wanted in (wanted for methods in by_network(requests).values() for wanted in methods.values()):
        request, due = wanted[0], due_groups(wanted, everything)
        speed = speeds[request.network]
        passes = of_images(request, due, speed.channels, planned.source.size[-1])
        total, seconds = total + passes, seconds + speed.seconds(passes)
        images = max([images, *due.values()])
    counts = {"images": images, "forward passes": total.forward, "backward passes": total.backward}
    return {"experiment": name, **counts, "hours": seconds / 3600}


def _hours(hours: float) -> str:
    """Whole hours from ten on, below two digits that count."""
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


COLUMNS: dict[str | int, Callable[[Any], str]] = {
    **dict.fromkeys(("images", "forward passes", "backward passes"), "{:,.0f}".format),
    "hours": _hours,
}
"""How the columns of the table are printed."""
