"""The Fake-CAM check prints three columns and judges the middle one; its numbers are pinned with the metrics."""

import pytest

from reproduce.__main__ import main
from reproduce.saliency import fake_cam_boxes

PUBLISHED = {"LE": 54.0, "F1": 57.7, "EP": 28.5, "SP": 99.8}


@pytest.fixture
def boxes(tmp_path):
    (tmp_path / "localization.txt").write_text("val/a.JPEG,10,20,100,200\nval/b.JPEG,0,0,300,200\n")
    (tmp_path / "image_sizes.txt").write_text("val/a.JPEG,300,200\nval/b.JPEG,300,200\n")
    return tmp_path


def test_two_boxes_do_not_give_the_published_row(boxes, capsys):
    assert main(["check", "fake-cam-boxes", "--boxes", str(boxes)]) == 1
    printed = capsys.readouterr().out
    assert "boxes of 2 ImageNet validation pictures" in printed
    assert "NOT reproduced" in printed
    assert fake_cam_boxes.compare(boxes)["published"].to_dict() == PUBLISHED


def test_numbers_that_round_to_the_published_digits_pass(monkeypatch, boxes, capsys):
    near = {name: value + 0.04 for name, value in PUBLISHED.items()}
    monkeypatch.setattr(fake_cam_boxes, "uniform_map_scores", lambda *_: {"images": 50_000, **near})
    assert main(["check", "fake-cam-boxes", "--boxes", str(boxes)]) == 0
    assert "reproduced to the published digit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "say with --boxes where"), (["--boxes", "nowhere"], "no file 'nowhere/localization.txt'")],
)
def test_missing_boxes_are_a_user_error(arguments, message, capsys):
    assert main(["check", "fake-cam-boxes", *arguments]) == 2
    assert message in capsys.readouterr().err
