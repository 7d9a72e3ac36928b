"""Command-line options that the commands of opticam, dpnet and reproduce share; loads nothing slow, for --help."""

from __future__ import annotations

import argparse

LEVELS = ("exact", "fast", "half")  # those of `opticam.optimization`, which takes a second to load


def add_pixel_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Options for weights that were trained with a pixel normalisation of their own."""
    parser.add_argument("--mean", type=_triple, help="pixel mean R,G,B; default: the library's")
    parser.add_argument("--std", type=_triple, help="pixel standard deviation R,G,B; default: the library's")
    parser.add_argument(
        "--pixel-range",
        type=float,
        default=1,
        help="value of white that --mean and --std refer to (default 1)",
    )


def add_optimize_option(parser: argparse.ArgumentParser) -> None:
    """How the network runs, as in `Classifier(optimize=...)`."""
    parser.add_argument(
        "--optimize",
        choices=LEVELS,
        default="fast",
        help="run the network as it is (exact), with batch norms folded in and packed weights (fast, the "
        "default), or so in bfloat16 (half)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Where to compute; `options.device` is the name of a device."""
    parser.add_argument(
        "--device", type=_device, default="auto", help="cpu, cuda, ...; default: a GPU if there is one"
    )


def pixel_options(options: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """The given ones of mean and std, in units where white is 1."""
    if options.pixel_range <= 0:
        raise ValueError(f"pixel-range: must be positive, got {options.pixel_range}")
    given = {"mean": options.mean, "std": options.std}
    return {name: tuple(v / options.pixel_range for v in values) for name, values in given.items() if values}


def _device(name: str) -> str:
    """The name, or what "auto" means here; asked only where a command is carried out."""
    import torch

    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _triple(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected R,G,B, got {text!r}")
    return values
