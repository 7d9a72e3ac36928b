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
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from opticam import Classifier
from opticam.networks import build_network
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.loop.report import KEYS, markdown, plot, summary
from reproduce.benchmarks.loop.sides import (
    Setting,
    first_step,
    grad_cam_sides,
    opti_cam_sides,
    score_cam_sides,
)
from reproduce.benchmarks.memory import peak_bytes
from reproduce.benchmarks.reports import write_report
from reproduce.workspace.stopwatch import Spent, stopwatch

SOURCES = (
    "opticam/classifier.py",
    "opticam/acceleration",
    "opticam/masking",
    "opticam/hooks.py",
    "opticam/saliency",
    "csrc/common",
    "csrc/opticam",
    "reproduce/benchmarks/loop/__main__.py",
    "reproduce/benchmarks/loop/rivals.py",
    "reproduce/benchmarks/loop/sides.py",
)
SCORE_CAM_PASSES = 2048  # forward passes at the last layer of ResNet-50


def measure(side: Callable[[], Tensor | None], setting: Setting) -> dict[str, float | None]:
    """Seconds, processor seconds, peak memory in MB and mean masked logit of one run."""
    runs: list[tuple[Tensor | None, Spent]] = []

    def run() -> list[Tensor | None]:
        with contextlib.redirect_stderr(io.StringIO()):  # some packages draw progress bars
            runs.append(stopwatch(side, setting.images.device))
        return [runs[0][0]]

    peak = peak_bytes(run, setting.images.device.type)
    ((maps, spent),) = runs
    row = spent._asdict() | {"peak_mb": None if peak is None else peak / 1e6}
    return row | ({} if maps is None else {"score": _masked_score(setting, maps)})


@torch.no_grad()
def _masked_score(setting: Setting, maps: Tensor) -> float:
    if maps.shape[1:] != setting.images.shape[2:]:  # torch-cam leaves its maps small
        return float("nan")
    logits = Classifier(setting.network, optimize="exact")(setting.images * maps.to(setting.images)[:, None])
    return float(logits.gather(1, setting.ids[:, None]).mean())


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
    levels = setting.levels if part == "opti-cam" else ()
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
    record = Record.of("opticam_loop", KEYS, SOURCES, options)
    for part, setting in parts(options):
        group = dict(zip(KEYS, (part, len(setting.images), options.side, setting.iterations)))
        if record.pending(group):
            record.add(group, repetitions(part, setting, options.repeats))
    write_report(record.path, summary, markdown, plot)
    print(record.path.with_suffix(".md").read_text(encoding="utf-8"))


def _arguments() -> argparse.Namespace:
    parser = benchmark_parser("Time Opti-CAM, Grad-CAM and Score-CAM against other ways.")
    parser.add_argument("--part", nargs="+", choices=tuple(SIDES), default=tuple(SIDES))
    parser.add_argument("--quick", action="store_true", help="small images, one repetition")
    parser.add_argument(
        "--batches", type=int, nargs="+", help="images in a batch; default 1 4, on a GPU 1 8 64"
    )
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    options.side = 64 if options.quick else 224
    options.repeats = 1 if options.quick else options.repeats
    options.batches = options.batches or ([1, 8, 64] if options.device == "cuda" else [1, 4])
    return options


if __name__ == "__main__":
    main()
