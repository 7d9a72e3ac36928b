"""The judged claims as one CSV file beside the tables, one line per claim."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from opticam.data.files import write_text
from reproduce.claims.judging import COLUMNS, frame, judge
from reproduce.claims.measured import stored_results
from reproduce.claims.summary import NUMBERS
from reproduce.experiments.outputs import Outputs
from reproduce.workspace.environment import commit
from reproduce.workspace.workspace import Workspace

FILE = Path("tables") / "claims.csv"
COUNTS = ("parts", "n", "n_left", "n_right")


def current_claims(workspace: Workspace, outputs: Outputs) -> pd.DataFrame:
    """All claims of the profile, judged anew where the file in the output folder is out of date.

    They are of the whole profile, whichever experiments were asked for: what is not stored is "not run".
    """
    path = outputs.folder / FILE
    if outputs.anew or not outputs.drawn.current("all", "claims", outputs.digest):
        claims = frame(judge(stored_results(workspace)))
        write_text(path, claims.to_csv(index=False, float_format="%.10g", lineterminator="\n"))
        outputs.drawn.record("all", "claims", outputs.digest, commit(), [path])
    return read_claims(outputs.folder)


def read_claims(folder: Path) -> pd.DataFrame:
    """The claims as written in a folder; none where there is no file."""
    path = folder / FILE
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    numbers = {name: pd.to_numeric(table[name]) for name in NUMBERS}
    whole = {name: pd.to_numeric(table[name]).fillna(0).astype(int) for name in COUNTS}
    return table.assign(**numbers, **whole)
