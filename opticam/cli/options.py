"""Command-line options that the commands of opticam, dpnet and reproduce share; loads nothing slow, for --help."""

from __future__ import annotations

import argparse
import math
from functools import partial

from opticam.data.photo import RESIZES

UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
LEVELS = ("exact", "fast", "half")
"""Those of `opticam.acceleration.prepared_network`, which takes a second to load."""


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


def add_resize_option(parser: argparse.ArgumentParser, default: str) -> None:
    """How a picture becomes the square that a network takes, as in `opticam.data.photo.read_photo`."""
    parser.add_argument(
        "--resize",
        choices=RESIZES,
        default=default,
        help="cut the middle out of a picture (crop), or take the whole, its sides made equal (squash); "
        "default: %(default)s",
    )


def add_optimize_option(parser: argparse.ArgumentParser) -> None:
    """How the network runs, as in `Classifier(optimize=...)`."""
    parser.add_argument(
        "--optimize",
        choices=LEVELS,
        default="fast",
        help="run the network as it is (exact), with batch norms folded in and packed weights (fast, the "
        "default; on a GPU the same as exact), or so in bfloat16 (half)",
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Where to compute; `options.device` is the name of a device."""
    parser.add_argument(
        "--device", type=_device, default="auto", help="cpu, cuda, ...; default: a GPU if there is one"
    )


def add_memory_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """How pictures and frozen features are read."""
    parser.add_argument(
        "--workers", type=partial(at_least, 0), default=0, help="processes that read pictures; default 0"
    )
    parser.add_argument(
        "--memory",
        type=_bytes,
        metavar="BYTES",
        help="feature maps in memory at a time, such as 2G; training reads them in shuffled blocks of that size",
    )


def positive(text: str) -> int:
    """The whole number of at least 1 that an option's text says."""
    return at_least(1, text)


def at_least(least: int, text: str) -> int:
    """The whole number of at least `least` that an option's text says."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
    return int(text)


def pixel_options(options: argparse.Namespace) -> dict[str, tuple[float, ...]]:
    """The given ones of mean and std, in units where white is 1."""
    if not 0 < options.pixel_range < math.inf:
        raise ValueError(f"pixel-range: must be positive and finite, got {options.pixel_range}")
    given = {"mean": options.mean, "std": options.std}
    return {name: tuple(v / options.pixel_range for v in values) for name, values in given.items() if values}


def _device(name: str) -> str:
    """The name, or what "auto" means here; asked only where a command is carried out."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        usable = device.type == "cpu" or (device.index or 0) < torch.get_device_module(device).device_count()
    except RuntimeError:
        usable = False
    if not usable:
        raise argparse.ArgumentTypeError(f"there is no device {name!r} here; cpu always works")
    return name


def _bytes(text: str) -> int:
    """A number of bytes, with K, M, G or T for powers of 1024."""
    unit = text[-1:].upper()
    try:
        return int(float(text[:-1] if unit in UNITS else text) * UNITS.get(unit, 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected bytes such as 500M or 2G, got {text!r}") from None


def _triple(text: str) -> tuple[float, ...]:
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected R,G,B, got {text!r}")
    return values
