"""The kernels at a glance: speed-ups and shares of the floor, drawn from the CSV files of their benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from reproduce.report.document import Block, Heading, Paragraph, Picture
from reproduce.report.kernel_figures import (
    KERNELS,
    LOSS,
    Kernel,
    draw_shares,
    draw_speedups,
    is_loss,
    shares,
    speedups,
)

DEVICES = {"cpu": "the CPU", "cuda": "a GPU"}


def kernels_at_a_glance(measured: Path, folder: Path) -> Iterator[Block]:
    """Pictures of every kernel and device that has a CSV file in `measured`; they are written into `folder`."""
    yield Heading(3, "The kernels at a glance", "kernels")
    yield Paragraph(
        "How many times as fast as its rivals each kernel is, on the same data: blue above 1, orange and marked "
        f"{LOSS} where ours is slower. Of several eager forms the fastest is the rival. "
        "A line of the masking step names the network whose maps it takes, and how many images it takes at once."
    )
    found = [
        (kernel, device, measured / f"{kernel.name}_{device}.csv") for kernel in KERNELS for device in DEVICES
    ]
    for kernel, _, path in found:
        if path.is_file():
            yield _speedups(kernel, path, folder)
    missing = [f"{kernel.title} on {DEVICES[device]}" for kernel, device, path in found if not path.is_file()]
    if missing:
        yield Paragraph(f"Not measured: {'; '.join(missing)}.")
    if len(missing) == len(found):
        return
    yield Paragraph(
        "How near each comes to what bounds it. The files hold no bytes and operations of the same work together, so "
        "this is no roofline: it is the share of a floor that was measured on the same machine."
    )
    for kernel, _, path in found:
        if path.is_file():
            yield _shares(kernel, path, folder)


def _speedups(kernel: Kernel, path: Path, folder: Path) -> Picture:
    rows = pd.read_csv(path)
    table, target = speedups(kernel, rows), folder / f"kernel_speedups_{path.stem}.svg"
    title, values = f"{kernel.title} on {_device(rows)}", table["speed-up"]
    draw_speedups(table, title, target)
    losses = sum(map(is_loss, values))
    told = f"{len(values)} speed-ups from {values.min():.2f} to {values.max():.1f}, {losses} below 1"
    return Picture(
        target, f"Heat map of {title}: {told}", f"{title}: {told}. From `{path.name}`.", narrow=True
    )


def _shares(kernel: Kernel, path: Path, folder: Path) -> Picture:
    rows = pd.read_csv(path)
    table, target = shares(kernel, rows), folder / f"kernel_floor_{path.stem}.svg"
    title = f"{kernel.title} on {_device(rows)}"
    draw_shares(kernel, table, title, target)
    own = table.loc[table["side"] == "ours", "share"]
    told = f"ours at {own.min():.0%} to {own.max():.0%}, half of the sizes above {own.median():.0%}"
    return Picture(
        target,
        f"Share of the measured floor, {title}: {told}",
        f"{title}: share of the {kernel.floor}; {told}. From `{path.name}`.",
        narrow=True,
    )


def _device(rows: pd.DataFrame) -> str:
    return ", ".join(rows["device"].astype(str).unique())
