"""The table by which "auto" chooses on a GPU, written from the rows of the similarity benchmark.

python -m reproduce.benchmarks.similarity.choices [similarity_cuda.csv] [--out FILE]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pandas as pd

from dpnet.similarity.choices import LARGEST_EAGER, TABLE, Case
from reproduce.benchmarks.harness import COMMITTED
from reproduce.benchmarks.similarity.report import KEYS

KIND = ["capability", "precision", "pass", "entropy"]
SIZES = ["R", "P", "d"]


def choices(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a case: its kind, its sizes, and the backend of the least median time, "eager" only where it is small."""
    ours = rows["implementation"].str.extract(r"^ours \((\w+)\)$")[0]
    large = (ours == "eager") & (rows["extra_mb"] > LARGEST_EAGER / 1e6)
    measured = rows.assign(backend=ours)[ours.notna() & (ours != "auto") & ~large]
    best = measured.loc[measured.groupby(KEYS, sort=False)["median_ms"].idxmin()]
    table = best[[*KIND, *SIZES, "backend"]]
    return table.rename(columns=dict(zip([*KIND, *SIZES], Case._fields)))


def slower_by(rows: pd.DataFrame) -> pd.Series:
    """In each case, how much longer "auto" takes than the fastest of ours and of eager PyTorch: 0.05 is 5 %."""
    ours = rows["implementation"].str.match(r"ours|eager")
    best = rows[ours].groupby(KEYS, sort=False)["median_ms"].min()
    auto = rows[rows["implementation"] == "ours (auto)"].set_index(KEYS)["median_ms"]
    return auto / best.reindex(auto.index) - 1


def main() -> None:
    """Write the table, and say where "auto" was more than 5 % slower in these rows."""
    parser = argparse.ArgumentParser(description=re.sub(r"\s+", " ", (__doc__ or "").split("\n\n")[0]))
    parser.add_argument("rows", type=Path, nargs="?", default=COMMITTED / "similarity_cuda.csv")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args()
    if not options.rows.exists():
        parser.error(
            f"rows: there is no {options.rows}; `reproduce benchmark similarity --device cuda` measures them"
        )
    rows = pd.read_csv(options.rows, dtype={"capability": str})
    choices(rows).to_csv(options.out, index=False)
    late = slower_by(rows)
    for case, share in late[late > 0.05].items():
        print(f"auto was {share:.0%} slower: {', '.join(map(str, case))}")
    print(options.out)


if __name__ == "__main__":
    main()
