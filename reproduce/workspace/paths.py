"""Folders of the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "figures"
"""The last published run of the sample profile, and benchmarks, checks and studies; committed."""
PUBLISHABLE = {"sample": PUBLISHED, "photographs": PUBLISHED / "photographs"}
"""Where a profile's last published run lies, for those that have one."""
RESULTS = ROOT / "results"
"""What runs and benchmarks write; never committed."""
FIRST_LOOK = "limit-"
"""Begins the name of the folder, in a profile's results, of what a run with a limit writes."""
