"""Which experiments a command is about."""

from __future__ import annotations

from opticam import METHODS
from reproduce.experiments import EXPERIMENTS, Experiment
from reproduce.workspace.profile import Profile


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
