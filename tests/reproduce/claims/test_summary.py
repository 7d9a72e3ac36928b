"""What the headline says of a profile's claims."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest

from opticam.data.imagenet_transforms import TRANSFORMS
from reproduce.claims.judging import COLUMNS
from reproduce.claims.summary import evidence, headline, part_cells, scope
from reproduce.workspace.profile import load_profile
from reproduce.workspace.workspace import RealInput, Workspace

SIX = [(data, network) for data in ("MIT-67", "Birds", "ImageNet") for network in ("vgg16", "resnet50")]


@pytest.fixture
def claims():
    """DP-Net's six cells, measured at 1, 2, ... points, and one ordering of Opti-CAM."""
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"kind": "ordering", "paper": "DP-Net", "place": "dpnet_main", "dataset": data, "network": network}
        | {
            "comparison": "accuracy Parts > Global",
            "published": 0.7,
            "measured": number,
            "low": number - 0.25,
        }
        | {"high": number + 0.25, "n": 10, "unit": "seeds", "verdict": "agrees", "adjusted_verdict": "agrees"}
        for number, (data, network) in enumerate(SIX, start=1)
    ]
    other = rows[0] | {"paper": "Opti-CAM", "place": "opticam_table1", "verdict": "contradicts"}
    return pd.DataFrame([*rows, other])


def test_the_six_cells_are_stated_one_by_one(claims):
    cells = part_cells(claims)
    assert len(cells) == 6
    assert cells[2] == "Birds vgg16: published +0.7, measured +3.0 [+2.8, +3.2], 10 seeds, agrees"
    text = "\n".join(headline(claims, Workspace(load_profile("sample"))))
    assert all(cell in text for cell in cells)
    assert part_cells(claims.assign(n=0)) == []


def test_a_paper_that_the_profile_does_not_run_is_not_counted(claims):
    profile = dataclasses.replace(load_profile("sample"), parts=None)
    text = "\n".join(headline(claims, Workspace(profile)))
    assert "DP-Net" not in text
    assert "Opti-CAM, orderings of the tables: 1 contradicts" in text


@pytest.mark.parametrize(
    ("count", "transform", "words"),
    [
        (50_000, TRANSFORMS[0], "a verdict is one on the paper's numbers"),
        (300, TRANSFORMS[0], "300 of 50,000 pictures. It tells"),
        (50_000, "squash224", "made ready by squash224"),
    ],
)
def test_only_all_of_imagenet_s_pictures_are_called_the_paper_s(count, transform, words):
    given = Workspace(load_profile("imagenet"), RealInput(transform=transform))
    given.__dict__["source"] = SimpleNamespace(names=range(count))
    text = scope(given, "Opti-CAM")
    assert words in text
    assert ("decides nothing" in text) == ("verdict" not in text)


@pytest.mark.parametrize(
    ("measured", "text"),
    [(1e-15, "+0.0"), (-3e-16, "+0.0"), (0.0, "+0.0"), (0.04, "+0.04"), (-0.0021, "-0.002")],
)
def test_a_difference_of_rounding_is_printed_as_zero_and_a_small_one_is_not(claims, measured, text):
    cell = part_cells(claims.assign(measured=measured))[0]
    assert f"measured {text} [" in cell


@pytest.mark.parametrize(
    ("low", "needed", "words"),
    [
        (float("nan"), float("nan"), "too few to tell"),
        (-1.0, 30.0, "30 seeds would"),
        (-1.0, None, "no number"),
    ],
)
def test_an_inconclusive_claim_says_what_would_decide_it(claims, low, needed, words):
    changed = claims.assign(verdict="inconclusive", low=low, high=-low, needed=needed, n_left=10, n_right=10)
    assert words in evidence(changed.iloc[0])


def test_what_was_not_run_says_what_decides_it_and_not_that_the_profile_lacks_it(claims):
    text = evidence(claims.assign(verdict="not run", n=0, decided_by="the sample profile").iloc[0])
    assert "nothing is stored" in text and text.endswith("decided by the sample profile")
