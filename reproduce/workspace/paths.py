"""Folders of the checkout, and where the outputs of a run lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "reproduce" / "profiles"
"""One file per profile; with it the recipes that were chosen for it, and the seconds that stages took."""
PUBLISHED = ROOT / "figures"
"""The last published run of the sample profile, and benchmarks, checks and studies; committed."""
PUBLISHABLE = {"sample": PUBLISHED, "photographs": PUBLISHED / "photographs"}
"""Where a profile's last published run lies, for those that have one."""
RESULTS = ROOT / "results"
"""What runs and benchmarks write; never committed."""
FIRST_LOOK = "limit-"
"""Begins the name of the folder, in a profile's results, of what a run with a limit writes."""


def committed_tables(profile: str) -> Path | None:
    """Where the tables of the last published run of a profile, by its name, lie; None where there is none.

    `reproduce compare` and the report's summary set a run beside them.
    """
    folder = PUBLISHABLE.get(profile)
    return folder and folder / "tables"


def outputs_of(results: Path, limit: int | None) -> Path:
    """Where a run writes tables, figures and report: beside its results; a first look in a folder of its own.

    A look at other pictures than the run's own must not replace what the run has drawn; the store serves both.
    """
    return results if limit is None else results / f"{FIRST_LOOK}{limit}"
