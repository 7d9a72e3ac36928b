"""What each specialised path of the CPU gains: the same work with it and without it.

    python -m reproduce.studies.cpu_paths [--output figures/studies]

Work is timed in a process for each set of instructions, as they are chosen when an extension is first used; the
processes take turns. A path that gains less than LEAST_GAIN on its best work is not worth its lines. Paths whose
instructions the processor lacks are left out. Prints the table of CONTRIBUTING.md; a row of the CSV is kept, delete it
to have its path timed again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch
from torch import nn
from torchvision.models import resnet50

from dpnet.similarity import part_similarity
from opticam import Classifier, OptiCAM
from opticam.acceleration.float64_convolution import Float64Convolution
from opticam.sample import sample_network
from reproduce.benchmarks.masking import cases as masking
from reproduce.benchmarks.reports import table_lines
from reproduce.benchmarks.similarity import cases as similarity
from reproduce.benchmarks.similarity.exact import step
from reproduce.benchmarks.timing import take_turns
from reproduce.studies.instruction_sets import processor_flags
from reproduce.workspace.environment import environment
from reproduce.workspace.paths import ROOT

FILE = "cpu_paths.csv"
LEAST_GAIN = 1.3
TURNS, SECONDS = 3, 0.3
SHAPE = similarity.Shape("CUB VGG 14x14", 8, 8, 196, 2000, 512)
MASKING = ("saliency_mask forward", "saliency_mask forward + backward", "channel_masks", "step_masks")
PASSES = ("forward", "forward with entropy", "forward + backward", "forward + backward with entropy")


@dataclass(frozen=True)
class Route:
    """A specialised path: the files that are there for it alone, who comes to it, what it is timed on, see `calls`.

    flag: what the processor must have, as the kernel names it; "" for any. chosen and avoided: the environment
    variables under which work goes that way, and another.
    """

    name: str
    files: tuple[str, ...]
    callers: str
    flag: str
    work: tuple[str, ...]
    chosen: dict[str, str]
    avoided: dict[str, str]


def _similarity(precision: str, passes: Iterable[str] = PASSES) -> tuple[str, ...]:
    return tuple(f"part similarity, {precision}, {way}" for way in passes)


MASK_WORK = tuple(
    f"{operation}, {dtype}" for operation in MASKING for dtype in ("float32", "bfloat16", "float16")
)
PACKED = "Opti-CAM, ResNet-50, one image, 5 steps"
IN_FLOAT64 = tuple(
    f"Opti-CAM in float64, {name}, 8 pictures, 5 steps" for name in ("sample_vgg", "sample_resnet")
)
LAYERS = {
    f"float64 convolution, {c} channels, {side} x {side}": (c, side) for c, side in ((64, 16), (128, 8))
}
UNPACKED, UNTILED = "CPU_PATHS_UNPACKED", "CPU_PATHS_UNTILED"
LEVEL, PARTS = "ATEN_CPU_CAPABILITY", "DPNET_CPU_INSTRUCTIONS"
ALL, AVX512, AVX2 = {PARTS: ""}, {PARTS: "avx512"}, {PARTS: "avx2"}
ROUTES = (
    Route(
        "masking, AVX2",
        ("csrc/opticam/cpu/loops_avx2.cpp",),
        "every masking operation",
        "avx2",
        MASK_WORK,
        {LEVEL: "avx2"},
        {LEVEL: "default"},
    ),
    Route(
        "masking, AVX-512",
        ("csrc/opticam/cpu/loops_avx512.cpp",),
        "every masking operation",
        "avx512f",
        MASK_WORK,
        {LEVEL: "avx512"},
        {LEVEL: "avx2"},
    ),
    Route(
        "part similarity, AVX2",
        ("csrc/dpnet/cpu/loops_avx2.cpp",),
        "float32 and float64",
        "avx2",
        _similarity("float32"),
        AVX2,
        {PARTS: "baseline"},
    ),
    Route(
        "part similarity, AVX-512",
        ("csrc/dpnet/cpu/loops_avx512.cpp",),
        "float32 and float64",
        "avx512f",
        _similarity("float32"),
        AVX512,
        AVX2,
    ),
    Route(
        "screen by 16-bit whole numbers, AVX512-VNNI",
        ("csrc/dpnet/cpu/screened_forward.cpp", "csrc/dpnet/cpu/loops_avx512vnni.cpp"),
        "scores alone, of any regions but float64",
        "avx512_vnni",
        _similarity("float32", PASSES[::2]),
        ALL,
        AVX512,
    ),
    Route(
        "products of 16-bit whole numbers, AVX512-VNNI",
        ("csrc/dpnet/cpu/loops_avx512vnni.cpp",),
        "with entropy: half precisions, and float32 where TF32 is allowed",
        "avx512_vnni",
        _similarity("tf32", PASSES[1::2]),
        ALL,
        AVX512,
    ),
    Route(
        "packed convolutions",
        ("opticam/acceleration/packed_convolution.py", "opticam/acceleration/frozen_convolution.py"),
        "levels fast (the default) and half",
        "",
        (PACKED,),
        {},
        {UNPACKED: "1"},
    ),
    Route(
        "float64 convolutions",
        (
            "csrc/opticam/cpu/convolution.cpp",
            "csrc/opticam/cpu/loops_convolution.inl.h",
            "opticam/acceleration/float64_convolution.py",
        ),
        'precision="float64": the sample profile',
        "",
        IN_FLOAT64,
        {UNTILED: "1"},
        {UNPACKED: "1"},
    ),
    Route(
        "float64 convolutions of 3 x 3 in tiles",
        ("csrc/opticam/cpu/tiled_convolution.cpp", "csrc/opticam/cpu/loops_tiles.inl.h"),
        "float64 convolutions from 32 channels on",
        "",
        (*LAYERS, *IN_FLOAT64),
        {},
        {UNTILED: "1"},
    ),
)


def calls(work: str) -> Callable[[], object]:
    """What is timed under a name: our side of the benchmarks' cases with eight images, a layer, or Opti-CAM's loop."""
    torch.manual_seed(0)
    if UNTILED in os.environ:
        patch("opticam.acceleration.float64_convolution.Float64Convolution.in_tiles", False).start()
    if work in LAYERS:
        return _layer(*LAYERS[work])
    if work == PACKED:
        return _optimise(resnet50(), (1, 3, 224, 224))
    if work in IN_FLOAT64:
        return _optimise(sample_network(work.split(", ")[1])[0], (8, 3, 64, 64), "float64")
    kind, *rest = work.split(", ")
    if kind == "part similarity":
        return _similarities(*rest)
    given = masking.inputs(masking.SHAPES[0], 8, getattr(torch, rest[0]), "cpu")
    return masking.OPERATIONS[kind](given, False)["ours"]


def _similarities(name: str, way: str) -> Callable[[], object]:
    precision = next(precision for precision in similarity.PRECISIONS if precision.name == name)
    parts, regions = similarity.inputs(SHAPE, precision, "cpu")
    temperature = similarity.TEMPERATURE if way in PASSES[1::2] else None
    weights = torch.rand(len(regions), len(parts)) if "backward" in way else None
    run = step(partial(part_similarity, backend="cpp"), parts, regions, temperature, weights)

    def under_precision() -> None:
        with precision.active():
            run()

    return under_precision


def _layer(channels: int, side: int) -> Callable[[], object]:
    """A convolution of 3 x 3, forward and backward."""
    plain = nn.Conv2d(channels, channels, 3, padding=1, dtype=torch.float64).requires_grad_(False)
    convolution = Float64Convolution(plain)
    images = torch.rand(8, channels, side, side, dtype=torch.float64)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
    return lambda: torch.autograd.grad(convolution(images).sum(), images)


def _optimise(
    network: nn.Module, shape: tuple[int, ...], precision: str | None = None
) -> Callable[[], object]:
    if UNPACKED in os.environ:
        patch("opticam.acceleration.prepared_network.pack_convolutions", lambda network: 0).start()
    method = OptiCAM(Classifier(network, optimize="fast"), iterations=5, precision=precision)
    images = torch.rand(shape)
    return lambda: method(images, 0)


def time_here(works: Iterable[str]) -> dict[str, float]:
    """The least milliseconds of each work in this process."""
    return {work: min(take_turns({work: calls(work)}, "cpu", 2, SECONDS)[work]) for work in works}


def timed(route: Route) -> dict[str, tuple[float, float]]:
    """Work to the least milliseconds (without, with) of the turns that the processes take."""
    found: dict[str, tuple[float, float]] = {work: (float("inf"),) * 2 for work in route.work}
    for _ in range(TURNS):
        sides = [_in_process(route.work, variables) for variables in (route.avoided, route.chosen)]
        found = {
            work: (min(least[0], sides[0][work]), min(least[1], sides[1][work]))
            for work, least in found.items()
        }
    return found


def _in_process(works: tuple[str, ...], variables: dict[str, str]) -> dict[str, float]:
    command = [sys.executable, "-m", "reproduce.studies.cpu_paths", "--time", *works]
    given = {**os.environ, **variables}
    done = subprocess.run(command, env=given, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    times: dict[str, float] = json.loads(done.stdout)
    return times


def measure(route: Route) -> dict[str, Any]:
    """One row: who comes to the path, and what it gains on its best work."""
    found = timed(route)
    best = max(found, key=lambda work: found[work][0] / found[work][1])
    without, with_it = found[best]
    return {
        "path": route.name,
        "reached by": route.callers,
        "best work": best,
        "without ms": f"{without:.3g}",
        "with ms": f"{with_it:.3g}",
        "gain": f"{without / with_it:.2f}",
        "least gain": f"{min(a / b for a, b in found.values()):.2f}",
        **{name: environment()[name] for name in ("commit", "torch", "device", "threads")},
    }


def markdown(table: pd.DataFrame) -> str:
    """The rows as CONTRIBUTING.md shows them."""
    shown = ["path", "reached by", "best work", "gain"]
    return "\n".join(table_lines(table[shown], lambda column, value: str(value)))


def main() -> None:
    """Time every path that the processor has and the CSV lacks, or the work that a process is started for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("figures/studies"))
    parser.add_argument("--time", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time:
        print(json.dumps(time_here(options.time)))
        return
    path = options.output / FILE
    table = pd.read_csv(path, dtype=str) if path.exists() else pd.DataFrame({"path": []})
    for route in ROUTES:
        if route.flag and route.flag not in (processor_flags() or ()):
            print(f"{route.name}: left out, the processor has no {route.flag}", file=sys.stderr)
        elif route.name not in set(table["path"]):
            table = pd.concat([table, pd.DataFrame([measure(route)])])
            table.to_csv(path, index=False)
    print(markdown(table))


if __name__ == "__main__":
    main()
