"""Compiles every Triton kernel of the masking step ahead of time, with no GPU, and reads what came out.

python -m reproduce.benchmarks.masking.compile

Registers, spills, shared memory, and how wide the loads and stores are: "128: 3" says that 3 instructions move 128
bits a thread. What a loop repeats counts once.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import MockTensor, create_function_from_signature

from opticam.masking.triton import plans
from opticam.masking.triton.launcher import Launch
from reproduce.benchmarks.sass import cuobjdump, read_sass

ARCHITECTURES = (80, 90, 100)
SHAPES = {"resnet50": (2048, 7, 7, 224, 224), "vgg16": (512, 14, 14, 224, 224), "odd": (63, 7, 5, 101, 67)}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
BATCH, CHANNELS, STEPS, COLOURS = 64, 16, 8, 3
ADAM = (0.1, 0.9, 0.999, 1e-8)
NUMBERS = ("features", "images", "masked", "grad_masked", "baseline", "chosen")
"""Tensors of the dtype that is reported; sums are float32."""
COUNTS = ("channels", "ranks", "steps", "iteration")


@dataclass(frozen=True)
class Case:
    """One launch, and what tells it from others of its kernel."""

    variant: str
    launch: Launch


def compile_report(
    architectures: tuple[int, ...] = ARCHITECTURES,
    dtypes: tuple[str, ...] = tuple(DTYPES),
    shapes: tuple[str, ...] = tuple(SHAPES),
) -> list[dict[str, Any]]:
    """One row per launch, shape, dtype and architecture.

    dtypes: names of the element types of features and images. Raises what Triton raises when a kernel does not
    compile.
    """
    return [
        {
            "kernel": case.launch.kernel.__name__,
            "variant": case.variant,
            "shape": shape,
            "dtype": dtype,
            "sm": sm,
            **resources(case.launch, DTYPES[dtype], sm),
        }
        for shape in shapes
        for dtype in dtypes
        for case in cases(*SHAPES[shape], DTYPES[dtype])
        for sm in architectures
    ]


def cases(channels: int, h: int, w: int, height: int, width: int, dtype: torch.dtype) -> Iterator[Case]:
    """Every launch for one shape, as it is planned."""
    features = torch.Size((BATCH, channels, h, w))
    images = torch.Size((BATCH, COLOURS, height, width))
    nowhere = torch.device("meta")
    strides = torch.empty(images, device=nowhere).stride()
    sizes, last = (
        (features, images, last, "range", (dtype, torch.float32, dtype), nowhere) for last in (False, True)
    )
    combine, mask, *_ = plans.forward_plan(*sizes)
    gradient, adam = (plans.backward_plan(*sizes, True, False, settings, True) for settings in (None, ADAM))
    yield Case("", combine)
    yield Case("", mask)
    yield Case("channels_last", plans.forward_plan(*last).mask)
    yield Case("", plans.channel_plan(features, images, CHANNELS, (dtype, dtype, torch.int64), 0))
    yield Case("", plans.step_plan(images, STEPS, strides, (torch.int64, dtype, torch.int64), 0))
    yield Case("", gradient.rows)
    yield Case("channels_last", plans.backward_plan(*last, True, False, None, True).rows)
    yield Case("", gradient.cells)
    yield Case("", gradient.project)
    yield Case("Adam", adam.project)


def resources(launch: Launch, dtype: torch.dtype, sm: int) -> dict[str, object]:
    """Compile one launch and read what the assembler made of it."""
    target = GPUTarget("cuda", sm, 32)
    compiled = triton.compile(
        _specialized(launch, dtype, target),
        target=target,
        options={"num_warps": launch.constants["num_warps"]},
    )
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(compiled.asm["cubin"])
        (code,) = read_sass(cubin).values()
        usage = _usage(cuobjdump(cubin, "--dump-resource-usage"))
    return {
        "warps": launch.constants["num_warps"],
        "shared": compiled.metadata.shared,
        **usage,
        "instructions": code.opcodes.total(),
        "loads": _histogram(code.loads),
        "stores": _histogram(code.stores),
    }


def _specialized(launch: Launch, dtype: torch.dtype, target: GPUTarget) -> ASTSource:
    """The source that a launch compiles: by Triton's own rules, for addresses of whole 16 bytes."""
    kernel, backend = launch.kernel, make_backend(target)
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    count = sum(name not in launch.constants for name in kernel.arg_names) - len(launch.scalars)
    tensors = [MockTensor(_dtype_of(name, dtype)) for name in kernel.arg_names[:count]]
    bound, specialization, options = bind(*tensors, *launch.scalars, **launch.constants)
    packed = kernel._pack_args(backend, dict(launch.constants), bound, specialization, options)
    _, signature, constants, attributes = packed
    return ASTSource(kernel, signature, constants, attributes)


def _dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    if name in NUMBERS:
        return dtype
    return torch.int64 if name in COUNTS else torch.float32


def _usage(listing: str) -> dict[str, int]:
    """Registers a thread, and bytes of stack and local memory (spills), as cuobjdump lists them."""
    registers, stack, local = (
        int(found[1]) for key in ("REG", "STACK", "LOCAL") if (found := re.search(rf"{key}:(\d+)", listing))
    )
    return {"registers": registers, "spilled": stack + local}


def _histogram(widths: dict[int, int]) -> str:
    return ", ".join(f"{bits}: {count}" for bits, count in widths.items())


if __name__ == "__main__":
    print(pd.DataFrame(compile_report()).to_string(index=False))
