"""Judge stored results, or recompute published numbers that need no pictures: `python -m reproduce check`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from reproduce.cli import check_everything as everything
from reproduce.saliency import fake_cam_boxes

ALL = "everything"
CHECKS: dict[str, Callable[[argparse.Namespace], int]] = {
    ALL: everything.run,
    "fake-cam-boxes": fake_cam_boxes.run,
}
"""By name: prints what it finds and returns the exit status, 0 where the published numbers are met."""
