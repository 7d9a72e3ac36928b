"""One file a published table or figure: what to compute, how to lay it out, which claims it judges."""

from reproduce.experiments import dpnet_constraints, dpnet_main, dpnet_parts, opticam_main, opticam_maps
from reproduce.experiments.base import Claim, Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        opticam_main.MainTable(),
        opticam_maps.MapsFigure(),
        dpnet_main.MainTable(),
        dpnet_constraints.ConstraintTable(),
        dpnet_parts.PartFigures(),
    )
}

__all__ = ["EXPERIMENTS", "Claim", "Experiment"]
