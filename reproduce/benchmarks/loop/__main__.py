"""Opti-CAM, Grad-CAM and Score-CAM on one network, against plain loops and other packages.

    python -m reproduce.benchmarks.loop --out DIR [--part opti-cam] [--quick] [--device cuda]

Three parts, one row per side and repetition in DIR/opticam_loop_DEVICE.csv, written as they finish. "opti-cam":
whole runs of our levels, of the public reference's loop and of that loop repaired, same images, network and
iterations, and the network alone, forward and backward. "grad-cam": Grad-CAM and one forward pass. "score-cam":
Score-CAM of one image at the network's last layer, whose 2,048 channels take as many forward passes.
`score` is the mean logit of the masked images. `map_difference` and `gradient_difference` are those of the first
step from the reference's, the gradient's relative to its largest entry. `cpu_seconds` is the processor time of all
threads, which other work on the machine disturbs less than `seconds`. Weights are random: they do not change the
time. Packages that are not installed are left out. Rows of parts and batches that are not asked for stay in the
CSV; a table and a plot go beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from opticam import Classifier, GradCAM, OptiCAM, ScoreCAM
from opticam.networks import build_network
from opticam.saliency.ascent import Ascent
from opticam.saliency.objectives import OBJECTIVES
from opticam.saliency.targets import ClassScore
from reproduce.benchmarks.harness import Record, add_changed_only_option
from reproduce.benchmarks.loop import rivals
from reproduce.benchmarks.loop.report import write_report
from reproduce.benchmarks.memory import peak_bytes

SOURCES = (
    "opticam/classifier.py",
    "opticam/folding.py",
    "opticam/masking",
    "opticam/optimization.py",
    "opticam/packed_convolution.py",
    "opticam/recording.py",
    "opticam/saliency",
    "csrc/opticam",
    "reproduce/benchmarks/loop/__main__.py",
    "reproduce/benchmarks/loop/rivals.py",
)
KEYS = ("part", "images", "iterations")
LEVELS = ("exact", "fast", "half")
SCORE_CAM_PASSES = 2048  # forward passes at the last layer of ResNet-50
Side = tuple[str, Callable[[], Tensor | None]]


@dataclass(frozen=True)
class Setting:
    """What every side gets: network, images [B,3,224,224], class ids [B], iterations."""

    network: nn.Module
    images: Tensor
    ids: Tensor
    iterations: int

    def classifier(self, level: str) -> Classifier:
        """A classifier of the network at one level, ready to be timed."""
        classifier = Classifier(self.network, optimize=level)
        classifier.features(self.images)
        return classifier

    def model(self) -> rivals.NormalisedNetwork:
        """The network with its pixel normalisation in front, for the other sides."""
        exact = Classifier(self.network)
        return rivals.NormalisedNetwork(self.network, exact.mean, exact.std)


def opti_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "opti-cam": a name, and a call that gives maps or None."""
    layer = Classifier(setting.network).target_layer
    arguments = setting.model(), layer, setting.images, setting.ids, setting.iterations
    yield "reference loop", lambda: rivals.reference_loop(*arguments).maps
    yield "repaired loop", lambda: rivals.repaired_loop(*arguments).maps
    for level in LEVELS:
        classifier = setting.classifier(level)
        for graph in (False, True) if setting.images.is_cuda else (False,):
            method = OptiCAM(classifier, iterations=setting.iterations, cuda_graph=graph)
            name = f"ours {level}" + (", captured" if graph else "")
            yield name, partial(method, setting.images, setting.ids)
        yield f"network alone {level}", partial(_network_alone, classifier, setting)


def grad_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "grad-cam"."""
    for level in LEVELS:
        classifier = setting.classifier(level)
        method = GradCAM(classifier)
        yield f"forward {level}", partial(_forward, classifier, setting.images)
        yield f"ours {level}", partial(method, setting.images, setting.ids)
    yield from _packages("GradCAM", setting, Classifier(setting.network).target_layer)


def score_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "score-cam"."""
    for level in LEVELS:
        method = ScoreCAM(setting.classifier(level))
        yield f"ours {level}", partial(method, setting.images, setting.ids)
    yield from _packages("ScoreCAM", setting, Classifier(setting.network).target_layer)


def first_step(setting: Setting, level: str) -> dict[str, float]:
    """Differences of map and gradient between our first step and the reference's."""
    classifier, score = setting.classifier(level), ClassScore(setting.ids)
    expected = rivals.reference_loop(
        setting.model(), classifier.target_layer, setting.images, setting.ids, iterations=1
    )
    options: dict[str, Any] = {"learning_rate": 0.1, "normalization": "range", "stop_change": None}
    features, objective = classifier.features(setting.images), OBJECTIVES["Mask"]
    with classifier.frozen():
        ascent = Ascent(classifier, features, setting.images, score, objective=objective, **options)
        first_map = ascent.maps(ascent.logits_u)
        ascent.step()
    # Adam's first moment after one step is a tenth of the gradient, which it descends.
    gradient = -10 * ascent.optimizer.moments[0] - expected.first_gradient
    return {
        "map_difference": float((first_map - expected.first_map).abs().max()),
        "gradient_difference": float(gradient.abs().max() / expected.first_gradient.abs().max()),
    }


def measure(side: Callable[[], Tensor | None], setting: Setting) -> dict[str, float | None]:
    """Seconds, processor seconds, peak memory in MB and mean masked logit of one run."""
    seconds: list[float] = []
    maps: list[Tensor | None] = []

    def run() -> list[Tensor]:
        start, start_cpu = time.perf_counter(), time.process_time()
        with contextlib.redirect_stderr(io.StringIO()):  # some packages draw progress bars
            maps.append(side())
        if setting.images.is_cuda:
            torch.cuda.synchronize()
        seconds.extend((time.perf_counter() - start, time.process_time() - start_cpu))
        return [result for result in maps if result is not None]

    peak = peak_bytes(run, setting.images.device.type)
    row = {"seconds": seconds[0], "cpu_seconds": seconds[1], "peak_mb": None if peak is None else peak / 1e6}
    return row | ({} if maps[0] is None else {"score": _masked_score(setting, maps[0])})


@torch.no_grad()
def _masked_score(setting: Setting, maps: Tensor) -> float:
    if maps.shape[1:] != setting.images.shape[2:]:  # torch-cam leaves its maps small
        return float("nan")
    logits = Classifier(setting.network, optimize="exact")(setting.images * maps.to(setting.images)[:, None])
    return float(logits.gather(1, setting.ids[:, None]).mean())


def _network_alone(classifier: Classifier, setting: Setting) -> None:
    """The network's share of a run: as many forward and backward passes on the images themselves."""
    with classifier.frozen(), torch.enable_grad():
        for _ in range(setting.iterations):
            pixels = setting.images.clone().requires_grad_()
            score = classifier(pixels).gather(1, setting.ids[:, None]).sum()
            torch.autograd.grad(score, pixels)


def _forward(classifier: Classifier, images: Tensor) -> None:
    with torch.no_grad():
        classifier(images)


def _packages(name: str, setting: Setting, layer: nn.Module) -> Iterator[Side]:
    for package, build in (("grad-cam", rivals.grad_cam_package), ("torch-cam", rivals.torch_cam_package)):
        with contextlib.suppress(ImportError):
            maps = build(name, setting.model(), layer)
            yield package, partial(maps, setting.images, setting.ids)


def parts(options: argparse.Namespace) -> Iterator[tuple[str, Setting]]:
    """Every part asked for with its settings, one for each batch size."""
    torch.manual_seed(0)
    network = build_network("resnet50", None).to(options.device)
    for batch in options.batches:
        generator = torch.Generator().manual_seed(0)
        images = torch.rand(batch, 3, options.side, options.side, generator=generator).to(options.device)
        ids = torch.arange(batch, device=options.device) * 7
        for part in ("opti-cam", "grad-cam"):
            if part in options.part:
                yield part, Setting(network, images, ids, options.iterations)
    if "score-cam" in options.part:
        yield "score-cam", Setting(network, images[:1], ids[:1], SCORE_CAM_PASSES)


SIDES = {"opti-cam": opti_cam_sides, "grad-cam": grad_cam_sides, "score-cam": score_cam_sides}


def repetitions(part: str, setting: Setting, repeats: int) -> Iterator[dict[str, object]]:
    """One row for each side and repetition of a part at one setting."""
    levels = LEVELS if part == "opti-cam" else ()
    differences = {f"ours {level}": first_step(setting, level) for level in levels}
    for repetition in range(1 if part == "score-cam" else repeats):
        for name, side in SIDES[part](setting):
            if part == "grad-cam" or setting.images.is_cuda:
                side()  # the first call pays for allocations and captures
            row = {"side": name, "repetition": repetition} | measure(side, setting)
            yield row | differences.get(name, {})


def main() -> None:
    """Write the CSV, its table and its plot, and print the table."""
    options = _arguments()
    path = options.out / f"opticam_loop_{options.device}.csv"
    record = Record(path, KEYS, SOURCES, options.device, options.changed_only)
    for part, setting in parts(options):
        group = dict(zip(KEYS, (part, len(setting.images), setting.iterations)))
        if record.pending(group):
            record.add(group, repetitions(part, setting, options.repeats))
    write_report(path)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time Opti-CAM, Grad-CAM and Score-CAM against other ways.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV")
    parser.add_argument("--part", nargs="+", choices=tuple(SIDES), default=tuple(SIDES))
    parser.add_argument("--quick", action="store_true", help="small images, one repetition")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--batches", type=int, nargs="+", help="images in a batch; default 1 4, on a GPU 1 8 64"
    )
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=2)
    add_changed_only_option(parser)
    options = parser.parse_args()
    options.side = 64 if options.quick else 224
    options.repeats = 1 if options.quick else options.repeats
    options.batches = options.batches or ([1, 8, 64] if options.device == "cuda" else [1, 4])
    return options


if __name__ == "__main__":
    main()
