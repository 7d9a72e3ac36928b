"""What the options --parts-... describe: which data sets and backbones of a profile run, and where they lie."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from reproduce.workspace.profile import PartsProfile, Profile
from reproduce.workspace.workspace import PartsInput

GIVEN = ("parts_data", "parts_runs", "parts_backbone", "parts_layer", "parts_size")


def parts_input(options: argparse.Namespace) -> PartsInput:
    """Folders and weights files. Raises FileNotFoundError or ValueError, naming the option."""
    data = {name: _existing("parts-data", name, folder) for name, folder in options.parts_data}
    weights = {name: _existing("parts-backbone", name, file) for name, file in options.parts_backbone if file}
    runs = {name: _existing("parts-runs", name, folder) for name, folder in options.parts_runs}
    return PartsInput(data, weights, runs, options.workers, options.memory)


def with_parts_options(profile: Profile, options: argparse.Namespace) -> Profile:
    """The profile with the data sets that have folders, and the backbones and layers given, if any are.

    Raises ValueError for a profile that draws its pictures or has none, and for an unknown name.
    """
    given = [name.replace("_", "-") for name in GIVEN if getattr(options, name)]
    if not given:
        return profile
    if profile.parts is None or profile.parts.source != "folder":
        raise ValueError(f"{given[0]}: the profile {profile.name!r} has its own; use --profile folders")
    parts = _with_backbones(_with_data(profile.parts, options), dict(options.parts_backbone))
    size = options.parts_size or parts.picture_size
    return replace(profile, parts=replace(_with_layers(parts, options.parts_layer), picture_size=size))


def _with_data(parts: PartsProfile, options: argparse.Namespace) -> PartsProfile:
    pictures, runs = dict(options.parts_data), dict(options.parts_runs)
    _check_known("parts-data", pictures, parts.datasets)
    _check_known("parts-runs", runs, parts.datasets)
    given = {**pictures, **runs} or parts.datasets
    datasets = {name: paper for name, paper in parts.datasets.items() if name in given}
    constrained = [name for name in parts.constraint_datasets if name in datasets] or list(datasets)
    return replace(parts, datasets=datasets, constraint_datasets=tuple(constrained))


def _with_backbones(parts: PartsProfile, weights: dict[str, str]) -> PartsProfile:
    """One that the profile does not have stands beside no published network but its own."""
    if not weights:
        return parts
    changed: dict[str, Any] = {
        "backbones": {name: parts.backbones.get(name, name) for name in weights},
        "layers": {name: layers for name, layers in parts.layers.items() if name in weights},
    }
    if parts.constraint_backbone not in weights:
        changed["constraint_backbone"] = next(iter(weights))
    return replace(parts, **changed)


def _with_layers(parts: PartsProfile, named: list[tuple[str, str]]) -> PartsProfile:
    _check_known("parts-layer", dict(named), parts.backbones)
    own: dict[str, tuple[str, ...]] = {}
    for name, layer in named:
        own[name] = (*own.get(name, ()), layer)
    return replace(parts, layers={**parts.layers, **own})


def _check_known(option: str, given: dict[str, str], known: Any) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"{option}: expected one of {', '.join(known)}, got {name!r}")


def _existing(option: str, name: str, text: str) -> Path:
    """The path given for a name."""
    if not text or not Path(text).exists():
        raise FileNotFoundError(f"{option}: there is no {text or f'folder after {name}='}")
    return Path(text).resolve()
