"""The kernels at a glance: speed-ups and shares of the floor, drawn from the CSV files of their benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from reproduce.report.document import Block, Heading, Paragraph, Picture
from reproduce.report.kernel_figures import (
    KERNELS,
    LOSS,
    MASKING,
    SIMILARITY,
    Kernel,
    draw_speedups,
    is_loss,
    speedups,
)
from reproduce.report.roofline import draw, points, roofs

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
        "How near each comes to what bounds it: what must be computed in a second, over how much of it there is for "
        "each byte that must move. The sloping line is a plain copy, the level ones are the bare matrix product, both "
        "measured beside. Above the product lies what is computed in 16-bit whole numbers first; above the copy, "
        "what stays in the processor's cache."
    )
    for device in DEVICES:
        paths = {kernel.name: path for kernel, where, path in found if where == device and path.is_file()}
        tables = {kernel: pd.read_csv(path) for kernel, path in paths.items()}
        machines = dict.fromkeys(name for table in tables.values() for name in table["device"])
        for number, machine in enumerate(map(str, machines), 1):
            own = {kernel: table[table["device"] == machine] for kernel, table in tables.items()}
            target = folder / f"kernel_roofline_{device}{'' if number == 1 else f'_{number}'}.svg"
            yield _roofline({kernel: rows for kernel, rows in own.items() if len(rows)}, machine, target)


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


def _roofline(tables: dict[str, pd.DataFrame], device: str, target: Path) -> Picture:
    measured = roofs(tables.get(MASKING.name, pd.DataFrame()), tables.get(SIMILARITY.name, pd.DataFrame()))
    table = pd.concat(points(kernel, tables[kernel.name]) for kernel in KERNELS if kernel.name in tables)
    title = f"Roofline of {device}"
    draw(table, measured, title, target)
    own = table.loc[table["side"] == "ours", "gflops"]
    told = f"ours at {own.min():,.3g} to {own.max():,.3g} GFLOP a second"
    unknown = [] if measured.products else ["the product"]
    unknown += [] if measured.bandwidth is not None else ["the copy"]
    lacking = f"; not measured: {' and '.join(unknown)}" if unknown else ""
    return Picture(target, f"{title}: {told}", f"{title}: {told}{lacking}.", narrow=True)


def _device(rows: pd.DataFrame) -> str:
    return ", ".join(rows["device"].astype(str).unique())
