"""Folders of the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "figures"
"""The last published run of the sample profile, and benchmarks, checks and studies; committed."""
RESULTS = ROOT / "results"
"""What runs and benchmarks write; never committed."""
FIRST_LOOK = "limit-"
"""Begins the name of the folder, in a profile's results, of what a run with a limit writes."""
