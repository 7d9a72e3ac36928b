"""One file a published table or figure: what to compute, how to lay it out, which claims it judges."""

from reproduce.experiments import (
    deviations_dpnet,
    deviations_opticam,
    dpnet_constraints,
    dpnet_context,
    dpnet_faithfulness,
    dpnet_main,
    dpnet_parts,
    dpnet_quality,
    opticam_boxes,
    opticam_causal,
    opticam_classes,
    opticam_iterations,
    opticam_layers,
    opticam_localization,
    opticam_main,
    opticam_maps,
    opticam_normalization,
    opticam_objectives,
    opticam_raw_pixels,
    opticam_robustness,
    opticam_sanity,
    opticam_selectivity,
)
from reproduce.experiments.base import Claim, Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        opticam_main.MainTable(),
        opticam_maps.MapsFigure(),
        opticam_causal.CausalTable(),
        opticam_robustness.RobustnessTable(),
        opticam_boxes.BoxTable(),
        opticam_normalization.NormalizationTable(),
        opticam_localization.LocalizationTables(),
        opticam_classes.ClassTable(),
        opticam_objectives.ObjectiveTable(),
        opticam_layers.LayerTable(),
        opticam_raw_pixels.RawPixelTable(),
        opticam_selectivity.SelectivityFigure(),
        opticam_iterations.IterationFigure(),
        opticam_sanity.SanityFigure(),
        deviations_opticam.OptiCamDeviations(),
        dpnet_main.MainTable(),
        dpnet_constraints.ConstraintTable(),
        dpnet_quality.QualityTable(),
        dpnet_context.ContextTable(),
        dpnet_faithfulness.FaithfulnessTable(),
        dpnet_parts.PartFigures(),
        deviations_dpnet.DpNetDeviations(),
    )
}

__all__ = ["EXPERIMENTS", "Claim", "Experiment"]
