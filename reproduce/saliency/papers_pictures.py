"""Whether numbers of a run are ones of the paper's pictures: as many, made ready for the networks in the same way.

The profile says whether it has the paper's networks and pictures at all. The folder that stands for ImageNet's
validation set may hold any pictures, a limit or a count takes the first of them, and `--resize` shows them otherwise.
"""

from __future__ import annotations

import math

from opticam.data.imagenet_preparation import PICTURES
from opticam.data.imagenet_transforms import TRANSFORMS
from reproduce.workspace.workspace import Workspace


def other_pictures(workspace: Workspace, measured: int, printed: float = PICTURES) -> str:
    """Why a number of `measured` pictures is not comparable with one printed of `printed`; "" where it is.

    printed: NaN where the paper does not say of how many.
    """
    reasons = []
    if not math.isnan(printed) and measured != printed:
        if measured < printed:
            reasons.append(f"{measured:,} of {int(printed):,} pictures")
        else:
            reasons.append(f"{measured:,} pictures for {int(printed):,}")
    transform, usual = workspace.real.transform, TRANSFORMS[0]
    if transform != usual:
        reasons.append(f"made ready by {transform}, not by {usual}")
    return ", ".join(reasons)
