"""Variants of Opti-CAM that several ablation tables share."""

from __future__ import annotations

from collections.abc import Mapping

from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment
from reproduce.published.numbers import labelled, split_label
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

MASK_RANGE = labelled("Opti-CAM", "Mask, range")
"""The paper's own setting, with the iterations of the ablations."""


def objective_label(objective: str, normalization: str) -> str:
    """The label of an objective and a normalisation, as in Tables 6 and A.12."""
    return labelled("Opti-CAM", f"{objective}, {normalization}")


def variant_request(
    experiment: SaliencyExperiment,
    workspace: Workspace,
    network: str,
    label: str,
    *groups: str,
    **options: object,
) -> Request:
    """Opti-CAM with the iterations of the ablations; the objective and normalisation follow from the label."""
    variant = split_label(label)[1]
    named = dict(zip(("objective", "normalization"), variant.split(", "))) if ", " in variant else {}
    return opticam_request(
        experiment,
        workspace,
        network,
        label,
        {"iterations": workspace.saliency.ablation_iterations, **named, **options},
        *groups,
    )


def opticam_request(
    experiment: SaliencyExperiment,
    workspace: Workspace,
    network: str,
    label: str,
    options: Mapping[str, object],
    *groups: str,
) -> Request:
    """A variant of Opti-CAM under its own label.

    Variants are many and short: a captured graph of each would fill a GPU's memory.
    """
    return experiment.request(
        workspace,
        network,
        label,
        *(groups or ("faithfulness",)),
        kind="Opti-CAM",
        options={"cuda_graph": False, **workspace.saliency.options.get("Opti-CAM", {}), **options},
    )
