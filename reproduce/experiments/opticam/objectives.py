"""Opti-CAM Table A.12: objectives."""

from __future__ import annotations

from reproduce.experiments.opticam.normalization import ObjectiveStudy
from reproduce.experiments.opticam.variants import objective_label

OBJECTIVES = ("Mask", "Diff", "IOMask", "IODiff")


class ObjectiveTable(ObjectiveStudy):
    """Four objectives, two of which also look at the image without the map."""

    name = "opticam-objectives"
    title = "Table A.12: objectives"
    table = "opticam_tableA12"
    variants = tuple(objective_label(objective, "range") for objective in OBJECTIVES)
