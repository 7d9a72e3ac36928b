"""One file per published table or figure: what to compute, how to lay it out, what claims read of it."""

from reproduce.experiments import dpnet, opticam
from reproduce.experiments.base import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (*opticam.EXPERIMENTS, *dpnet.EXPERIMENTS)
}

__all__ = ["EXPERIMENTS", "Experiment"]
