"""Published numbers that follow from something other than pictures, recomputed: `python -m reproduce check`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from reproduce.checks import fake_cam_boxes

CHECKS: dict[str, Callable[[argparse.Namespace], int]] = {"fake-cam-boxes": fake_cam_boxes.run}
"""By name: prints what it finds and returns the exit status, 0 where the published numbers are met."""
