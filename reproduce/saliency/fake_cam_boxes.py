"""The localisation row of Fake-CAM, which follows from object boxes alone, under both protocols."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from opticam.metrics import uniform_map_scores
from reproduce.published.numbers import published

CSV = Path("checks") / "fake_cam_boxes.csv"
METRICS = ("LE", "F1", "EP", "SP")
EXPLANATION = """\
Fake-CAM is one uniform map, so its localisation row depends on the boxes only and tells which definitions the
published tables follow. The authors' code gives the published digits; the formulas of Appendix B.1 do not:
  LE  the code counts boxes with IoU > 0.5; eq. B.2 averages the largest IoU.
  F1  the code takes the best single box; eqs. B.3 and B.4 take the union of the boxes.
  EP  the code swaps x and y, and boxes that begin outside the cropped image become empty or lie on the wrong
      side, as NumPy counts negative positions from the end; eq. B.3 takes the union of the boxes. (That x and y
      are swapped is read in the code: a uniform map cannot tell.)
  SP  every pixel but one is a tied maximum; the code accepts any of them, and so almost every box. Of tied
      maxima the formula points at the first."""


def run(options: argparse.Namespace) -> int:
    """Print published, measured and formula values; 0 if all measured ones round to the published digit.

    With an output folder, also write them to `CSV` there, which the report reads.
    """
    if options.boxes is None:
        raise ValueError("boxes: say with --boxes where localization.txt and image_sizes.txt are")
    table = compare(options.boxes)
    print(f"Fake-CAM on the boxes of {table.attrs['images']} ImageNet validation pictures, in %\n")
    print(table.to_string(formatters={"published": "{:.1f}".format}, float_format="%.2f"))
    print(f"\n{EXPLANATION}")
    if options.output:
        path = options.output / CSV
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {"authors' code": "legacy", "Appendix B.1": "paper"}
        written = table.rename(columns=columns).rename_axis("metric").assign(images=table.attrs["images"])
        written.to_csv(path, float_format="%.6g", lineterminator="\n")
    same = bool((table["authors' code"].round(1) == table["published"]).all())
    print(f"\n{'reproduced' if same else 'NOT reproduced'} to the published digit by the authors' code")
    return 0 if same else 1


def compare(boxes: Path) -> pd.DataFrame:
    """One row per metric: published, authors' code, Appendix B.1; the number of pictures in `attrs`."""
    legacy, paper = (uniform_map_scores(boxes, protocol) for protocol in ("legacy", "paper"))
    row = published("opticam_tableA7").query("network == 'resnet50' and method == 'Fake-CAM'")
    table = pd.DataFrame(
        {
            "published": row.set_index("metric")["value"].reindex(METRICS),
            "authors' code": pd.Series(legacy),
            "Appendix B.1": pd.Series(paper),
        },
        index=METRICS,
    )
    table.attrs["images"] = legacy["images"]
    return table
