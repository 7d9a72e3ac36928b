"""Judge stored results, or recompute published numbers that need no pictures: `python -m reproduce check`."""

from __future__ import annotations

import argparse
from importlib import import_module

ALL = "everything"
CHECKS = {ALL: "reproduce.cli.check_everything", "fake-cam-boxes": "reproduce.saliency.fake_cam_boxes"}
"""By name: the module whose `run` prints what it finds and returns 0 where the published numbers are met."""


def run_check(name: str, options: argparse.Namespace) -> int:
    """The exit status of a check."""
    return import_module(CHECKS[name]).run(options)
