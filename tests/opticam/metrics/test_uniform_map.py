"""The Fake-CAM row of the published localisation tables, from the boxes of all 50,000 validation pictures."""

import os
from pathlib import Path

import pytest

from opticam.metrics import uniform_map_scores

BOXES = Path(os.environ.get("OPTICAM_DATA", "")) / "imagenet_boxes"
needs_boxes = pytest.mark.skipif(
    not os.environ.get("OPTICAM_DATA") or not BOXES.is_dir(), reason="OPTICAM_DATA has no imagenet_boxes"
)


@needs_boxes
def test_legacy_protocol_gives_the_published_row():
    scores = uniform_map_scores(BOXES)  # the default, for this row
    assert scores["images"] == 50_000
    assert {name: round(scores[name], 1) for name in ("LE", "F1", "EP", "SP")} == {
        "LE": 54.0,
        "F1": 57.7,
        "EP": 28.5,
        "SP": 99.8,
    }


@needs_boxes
def test_the_papers_formulas_give_another_row():
    scores = uniform_map_scores(BOXES, "paper")
    assert {name: round(scores[name], 1) for name in ("LE", "LE clipped", "F1", "EP")} == {
        "LE": 54.8,
        "LE clipped": 49.9,
        "F1": 64.5,
        "EP": 53.6,
    }


def test_two_pictures_by_hand(tmp_path):
    """A 448 x 224 picture with its left half boxed, and a 224 x 224 picture boxed whole."""
    (tmp_path / "localization.txt").write_text("val/a.JPEG,0,0,224,224\nval/b.JPEG,0,0,224,224\n")
    (tmp_path / "image_sizes.txt").write_text("val/a.JPEG,448,224\nval/b.JPEG,224,224\n")
    scores = uniform_map_scores(tmp_path, "paper")
    # The crop leaves columns -112 to 112 of the first box: half of the image, and IoU 1/3 unclipped.
    assert scores["LE"] == pytest.approx(100 * (1 - (1 / 3 + 1) / 2))
    assert scores["LE clipped"] == pytest.approx(100 * (1 - (1 / 2 + 1) / 2))
    assert scores["EP"] == pytest.approx(75, abs=2e-3)
    # NumPy reads -112:112 of 224 as 112:112, which is nothing.
    assert uniform_map_scores(tmp_path, "legacy")["EP"] == pytest.approx(50, abs=2e-3)


def test_missing_files_and_protocols_are_named(tmp_path):
    lines = {"localization.txt": "val/a.JPEG,0,0,224,224\n", "image_sizes.txt": "val/a.JPEG,448,224\n"}
    for name, other in (lines, reversed(lines)):
        (tmp_path / other).write_text(lines[other])
        with pytest.raises(FileNotFoundError, match=name):
            uniform_map_scores(tmp_path)
        (tmp_path / other).unlink()
    with pytest.raises(ValueError, match="protocol must be one of"):
        uniform_map_scores(tmp_path, "slides")
