"""Opti-CAM Table A.12: objectives."""

from __future__ import annotations

from reproduce.experiments.base import Claim
from reproduce.experiments.comparisons import best, of_network
from reproduce.experiments.opticam.normalization import SCORES, ObjectiveStudy
from reproduce.experiments.opticam.saliency_experiment import where_comparable
from reproduce.experiments.opticam.variants import objective_label
from reproduce.workspace.workspace import Workspace

FEW = (
    "the published margins over Mask are 1.2 points of AD and 7.2 of AI on 1000 images; on some dozens of images one "
    "image is more than 2 points of AI"
)
GAINS = "of the objectives, Mask alone asks for nothing but a higher score of the masked image"
OBJECTIVES = ("Mask", "Diff", "IOMask", "IODiff")


class ObjectiveTable(ObjectiveStudy):
    """Four objectives, two of which also look at the image without the map."""

    name = "opticam-objectives"
    title = "Table A.12: objectives"
    table = "opticam_tableA12"
    variants = tuple(objective_label(objective, "range") for objective in OBJECTIVES)

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Appendix F.2: Mask gains most; IOMask has the lowest drop and the highest increase."""
        rows = self.rows(workspace, SCORES, self.is_shown)
        mask, io_mask = (objective_label(name, "range") for name in ("Mask", "IOMask"))
        return [
            found.because(GAINS) if label == mask else where_comparable(workspace, found, FEW)
            for network in self.networks(workspace)
            for ours in [of_network(rows, network)]
            for name, label, metric, words in (
                ("Mask", mask, "AG", "highest average gain"),
                ("IOMask", io_mask, "AD", "lowest average drop"),
                ("IOMask", io_mask, "AI", "highest average increase"),
            )
            for text in [f"{name} has the {words} of the objectives on {network}"]
            for found in [best(text, ours, metric, label, self.variants)]
        ]
