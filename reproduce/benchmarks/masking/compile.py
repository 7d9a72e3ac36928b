"""Compiles every Triton kernel of the masking step ahead of time, with no GPU: registers, spills, shared memory.

python -m reproduce.benchmarks.masking.compile
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget

from opticam.masking.triton import backward, config, forward

ARCHITECTURES = (80, 90, 100)
SHAPES = {"resnet50": (2048, 7, 7, 224, 224), "vgg16": (512, 14, 14, 224, 224), "odd": (63, 7, 5, 101, 67)}
ADAM = (0.1, 0.9, 0.999, 1e-8)
POINTERS = {
    "logits": "fp32",
    "weights": "fp32",
    "surface": "fp32",
    "saliency_map": "fp32",
    "channels": "i64",
    "ranks": "i64",
    "steps": "i64",
    "iteration": "i64",
    "grad_map": "fp32",
    "partial": "fp32",
    "coarse": "fp32",
    "offset": "fp32",
    "gradient": "fp32",
    "first_moment": "fp32",
    "second_moment": "fp32",
}
PIXELS = ("features", "images", "masked", "grad_masked", "baseline", "chosen")


@dataclass(frozen=True)
class Case:
    """One kernel with its constants and launch options."""

    kernel: Any
    constants: dict[str, Any]


def compile_report(
    architectures: tuple[int, ...] = ARCHITECTURES,
    dtypes: tuple[str, ...] = ("fp32", "bf16"),
    shapes: tuple[str, ...] = tuple(SHAPES),
) -> list[dict[str, Any]]:
    """One row per kernel, shape, dtype and architecture: registers, spilled bytes and shared bytes.

    dtypes: Triton's names of the element types of features and images. Raises what Triton raises when a kernel
    does not compile.
    """
    return [
        {
            "kernel": case.kernel.__name__,
            "shape": shape,
            "dtype": dtype,
            "sm": sm,
            **resources(case, dtype, sm),
        }
        for shape in shapes
        for case in cases(*SHAPES[shape])
        for dtype in dtypes
        for sm in architectures
    ]


def cases(channels: int, h: int, w: int, height: int, width: int) -> Iterator[Case]:
    """Every kernel as it is launched for one shape."""
    size = {"h": h, "w": w, "H": height, "W": width}
    cells = {"K": channels, "CELLS": h * w}
    mode = {"MODE": 0}
    yield Case(forward.combine_kernel, cells | config.combine(channels, h * w))
    yield Case(forward.mask_kernel, size | mode | {"C": 3} | config.mask(h, w, tasks=64))
    yield Case(forward.channel_kernel, size | {"K": channels, "C": 3} | config.mask(h, w, tasks=64))
    yield Case(forward.step_kernel, {"C": 3, "H": height, "W": width} | config.step())
    given = {"HAS_MASKED": True, "HAS_MAP": False, "C": 3, "w": w, "H": height, "W": width}
    yield Case(backward.row_kernel, mode | given | config.row(height, width, bytes_per_number=4))
    yield Case(backward.cell_kernel, size | mode | {"COUNT": True} | config.cell(h, w, height, width))
    for settings in (None, ADAM):
        project = config.project(h * w) | config.adam(settings)
        yield Case(backward.project_kernel, cells | project)


def resources(case: Case, dtype: str, sm: int) -> dict[str, int]:
    """Compile one case and read what the assembler says of it."""
    constants = dict(case.constants)
    options = {"num_warps": constants.pop("num_warps")}
    signature = {name: _type_of(name, constants, dtype) for name in case.kernel.arg_names}
    source = triton.compiler.ASTSource(case.kernel, signature, constexprs=constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)
    return {"warps": options["num_warps"], "shared": compiled.metadata.shared} | _usage(compiled.asm["cubin"])


def _type_of(name: str, constants: dict[str, Any], dtype: str) -> str:
    if name in constants:
        return "constexpr"
    if name in PIXELS:
        return "*" + dtype
    return "*" + POINTERS[name] if name in POINTERS else "i32"


def _usage(cubin: bytes) -> dict[str, int]:
    """Registers a thread, and bytes of stack and local memory (spills), as cuobjdump lists them."""
    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        listing = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    registers, stack, local = (
        int(found[1]) for key in ("REG", "STACK", "LOCAL") if (found := re.search(rf"{key}:(\d+)", listing))
    )
    return {"registers": registers, "spilled": stack + local}


if __name__ == "__main__":
    print(pd.DataFrame(compile_report()).to_string(index=False))
