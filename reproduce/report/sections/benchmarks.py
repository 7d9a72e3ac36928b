"""The section of benchmarks against peers, read from the CSV files that the benchmarks write."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reproduce.report.content import Given
from reproduce.report.document import Block, Cell, Command, Grid, Heading, Items, Paragraph, Picture
from reproduce.report.sections.kernels import kernels_at_a_glance

FOLDER = "benchmarks"
ENVIRONMENT = ("device", "commit", "torch", "triton", "python", "threads", "sources")


@dataclass(frozen=True)
class Benchmark:
    """A CSV file of a benchmark: its title, the command, and how its rows become lines.

    keys: the columns that name a line; rows that agree in them are repetitions. shown: printed column -> how
    repetitions are joined. Where the benchmark writes a Markdown table beside its CSV, that is shown instead.
    """

    file: str
    title: str
    command: str
    keys: tuple[str, ...] = ()
    shown: tuple[tuple[str, str], ...] = ()


LOOP_SHOWN = (("seconds", "min"), ("cpu_seconds", "min"), ("peak_mb", "max"), ("map_difference", "max"))
LOOP = (("part", "images", "pixels", "iterations", "side"), LOOP_SHOWN)
CAUSAL = (
    ("network", "side"),
    (("seconds", "min"), ("cpu_seconds", "min"), ("largest_difference", "max")),
)
TRAINING_SHOWN = (("seconds", "min"), ("images_a_second", "max"), ("own_mb", "max"))
TRAINING = (("constraints", "parts", "side", "images"), TRAINING_SHOWN)
BENCHMARKS = (
    Benchmark("masking_cpu.csv", "The masking step on the CPU", "masking"),
    Benchmark("host_overhead_cpu.csv", "A call of either kernel on the host", "host-overhead"),
    Benchmark("similarity_cpu.csv", "Part similarity on the CPU", "similarity"),
    Benchmark("opticam_loop_cpu.csv", "Opti-CAM's loop on the CPU", "opticam-loop", *LOOP),
    Benchmark("causal_cpu.csv", "Insertion and deletion on the CPU", "causal", *CAUSAL),
    Benchmark(
        "localization_cpu.csv",
        "Localisation metrics on the CPU",
        "localization",
        ("metric", "protocol", "grid"),
        (("maps_per_second", "median"),),
    ),
    Benchmark("part_training_cpu.csv", "Training the part layer on the CPU", "part-training", *TRAINING),
    Benchmark(
        "part_training_cuda.csv", "Training the part layer on a GPU", "part-training --device cuda", *TRAINING
    ),
    Benchmark("masking_cuda.csv", "The masking step on a GPU", "masking --device cuda"),
    Benchmark("similarity_cuda.csv", "Part similarity on a GPU", "similarity --device cuda"),
    Benchmark("opticam_loop_cuda.csv", "Opti-CAM's loop on a GPU", "opticam-loop --device cuda", *LOOP),
)


def benchmarks_section(given: Given) -> Iterator[Block]:
    """Every benchmark: its lines and plot, or that it is not yet measured."""
    yield Heading(2, "Benchmarks against peers", "benchmarks")
    yield Paragraph("Times depend on the machine, which each table names.")
    yield from kernels_at_a_glance(given.measured(FOLDER), given.folder)
    for benchmark in BENCHMARKS:
        path = given.measured(FOLDER) / benchmark.file
        yield Heading(3, benchmark.title)
        if path.is_file():
            yield from _measured(path, benchmark)
        else:
            yield Paragraph("**Not yet measured.**")
        yield Command(f"python -m reproduce benchmark {benchmark.command}")


def _measured(path: Path, benchmark: Benchmark) -> Iterator[Block]:
    rows, written = pd.read_csv(path), path.with_suffix(".md")
    told = list(from_markdown(written.read_text(encoding="utf-8"))) if written.is_file() else []
    yield from told
    if not any(isinstance(block, Grid) for block in told):
        yield from_frame(_joined(rows, benchmark))
    yield Paragraph(_machine(rows), small=True)
    plot = path.with_suffix(".svg")
    if plot.is_file():
        yield Picture(plot, benchmark.title, f"`{FOLDER}/{plot.name}`, from `{path.name}`.")


def from_markdown(text: str) -> Iterator[Block]:
    """The sections, paragraphs, lists, commands and tables of a Markdown file, whose own title is left out."""
    for part in text.split("\n\n"):
        lines = part.strip().splitlines()
        if not lines or lines[0].startswith("# "):
            continue
        if lines[0].startswith("#"):
            yield Heading(4, lines[0].lstrip("# "))
        elif lines[0].startswith("|"):
            head, _, *body = map(_row, lines)
            yield Grid([[(cell, 1) for cell in head]], [[Cell(cell) for cell in line] for line in body])
        elif lines[0].startswith("- "):
            yield Items([item.replace("\n  ", " ") for item in part.strip()[2:].split("\n- ")])
        elif part.strip("\n").startswith("    "):
            yield Command(textwrap.dedent(part.strip("\n")))
        else:
            yield Paragraph(" ".join(lines))


def _row(line: str) -> list[str]:
    """The cells of a line of a Markdown table, without the backslashes that keep characters from being read."""
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [re.sub(r"\\([\\|*\[\]])", r"\1", cell.strip()) for cell in cells]


def _joined(rows: pd.DataFrame, benchmark: Benchmark) -> pd.DataFrame:
    """One line per setting and side, its repetitions joined; what no line has is left out."""
    shown = {name: how for name, how in benchmark.shown if name in rows and rows[name].notna().any()}
    keys = [name for name in benchmark.keys if name in rows]
    return rows.groupby(keys, sort=False, dropna=False).agg(shown).reset_index()


def from_frame(table: pd.DataFrame) -> Grid:
    """The rows of a CSV file as a grid."""
    heads = [[(name.replace("_", " "), 1) for name in table.columns]]
    return Grid(heads, [[Cell(_text(value)) for value in line] for line in table.itertuples(index=False)])


def _text(value: object) -> str:
    if pd.isna(value):
        return ""
    return (
        f"{value:.3g}"
        if isinstance(value, float) and abs(value) < 100
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _machine(rows: pd.DataFrame) -> str:
    """Where the rows were measured: every value of the columns on the environment."""
    facts = []
    for name in ENVIRONMENT:
        values = rows[name].dropna().astype(str).unique() if name in rows else []
        if len(values):
            facts.append(f"{name} {', '.join(values)}")
    return f"Measured with {'; '.join(facts)}."
