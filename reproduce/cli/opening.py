"""The workspace, the experiments and the output folder that command-line options describe."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from dpnet.training.processes import own_device
from opticam import METHODS
from opticam.cli.options import pixel_options
from reproduce.cli.parts_options import parts_input, with_parts_options
from reproduce.experiments import EXPERIMENTS, Experiment
from reproduce.experiments.opticam.main import NETWORK_TABLES
from reproduce.published.numbers import published
from reproduce.workspace.paths import outputs_of
from reproduce.workspace.processes import is_first
from reproduce.workspace.profile import Profile, SaliencyProfile, load_profile
from reproduce.workspace.workspace import RealInput, Workspace


def workspace(options: argparse.Namespace) -> Workspace:
    """The workspace the options describe. Raises ValueError or FileNotFoundError, naming the option."""
    for name in ("images", "labels", "boxes", "weights"):
        value = getattr(options, name)
        if value is not None and not Path(value).exists():
            raise FileNotFoundError(f"{name}: there is no {value}")
    if options.weights and not options.network:
        raise ValueError("weights: say with --network which architecture they are for")
    if options.beside and not options.network:
        raise ValueError("beside: say with --network which network stands beside it")
    profile = _profile(options)
    if options.images and (profile.saliency is None or profile.saliency.source != "folder"):
        raise ValueError(f"images: the profile {profile.name!r} has its own; use --profile imagenet")
    real = RealInput(
        images=options.images and options.images.resolve(),
        labels=options.labels and options.labels.resolve(),
        boxes=options.boxes and options.boxes.resolve(),
        transform=options.resize,
        weights=str(Path(options.weights).resolve()) if options.weights else "default",
        **pixel_options(options),
    )
    return Workspace(
        profile,
        real,
        options.results,
        device=own_device(options.device),
        progress=not options.quiet and is_first(),
        all_maps=options.map_cache,
        optimize=options.optimize or profile.optimize,
        parts_input=parts_input(options),
    )


def output_folder(options: argparse.Namespace, given: Workspace) -> Path:
    """Where tables, figures and report go: the folder asked for, or the one of `outputs_of`."""
    return options.output or outputs_of(given.results, options.limit)


def select(only: list[str] | None, profile: Profile) -> list[Experiment]:
    """The experiments named, or all that the profile has. Raises ValueError for an unknown name."""
    unknown = set(only or ()) - set(EXPERIMENTS)
    if unknown:
        raise ValueError(f"only: no experiment {sorted(unknown)}; accepted: {', '.join(EXPERIMENTS)}")
    counted = set(profile.saliency.counts) if profile.saliency else set()
    uncounted = {part for name in counted for part in name.split("/")} - set(EXPERIMENTS) - set(METHODS)
    if uncounted:
        raise ValueError(f"count: no experiment or method {sorted(uncounted)}; accepted: their names")
    chosen = [EXPERIMENTS[name] for name in only or EXPERIMENTS]
    outside = [experiment.name for experiment in chosen if not experiment.applies(profile)]
    if only and outside:
        raise ValueError(f"only: the profile {profile.name!r} has no {', '.join(outside)}")
    return [experiment for experiment in chosen if experiment.applies(profile)]


def _profile(options: argparse.Namespace) -> Profile:
    profile = dataclasses.replace(load_profile(options.profile), limit=options.limit)
    profile = with_parts_options(profile, options)
    if profile.saliency:
        changed: dict[str, Any] = {"counts": {**profile.saliency.counts, **dict(options.count)}}
        if options.batch_size:
            changed["batch_size"] = options.batch_size
        profile = dataclasses.replace(profile, saliency=dataclasses.replace(profile.saliency, **changed))
    if options.network:
        if profile.saliency is None:
            raise ValueError(f"network: the profile {profile.name!r} explains none")
        profile = dataclasses.replace(profile, saliency=_one_network(profile.saliency, options))
    return profile


def _one_network(saliency: SaliencyProfile, options: argparse.Namespace) -> SaliencyProfile:
    """The profile's saliency part with --network alone; only a network of the papers can be compared."""
    own = saliency.networks.get(options.network)
    known = {network for table in NETWORK_TABLES for network in published(table)["network"]}
    beside = options.beside or own or "resnet50"
    if beside not in known:
        raise ValueError(f"beside: expected one of {', '.join(sorted(known))}, got {beside!r}")
    return dataclasses.replace(
        saliency,
        networks={options.network: beside},
        comparable=saliency.comparable and beside == own,
    )
