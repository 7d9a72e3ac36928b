"""Regions that several models share: as `dpnet.prepare` makes them, once while nothing that they depend on changes."""

import pytest
import torch

from dpnet import GlobalClassifier, PartClassifier, RegionScheme, prepare
from reproduce.parts import prepared as module
from reproduce.parts.prepared import prepared

PLACE = "fine", "tiny", "features.3"


@pytest.fixture
def maps(monkeypatch):
    found = {split: torch.rand(6, 4, 3, 3, dtype=torch.float64) for split in ("train", "test")}
    monkeypatch.setattr(module, "layer_features", lambda workspace, *place: (found[place[-1]], None))
    monkeypatch.setattr(module, "_kept", {})
    return found


def model(seed=0, name="squares"):
    torch.manual_seed(seed)
    return PartClassifier(4, 2, 2, scheme=RegionScheme(name))


def test_seeds_share_what_is_made_of_a_split(maps):
    made = prepared(None, PLACE, "train", model(0))
    assert torch.equal(made, prepare(model(0), maps["train"]))
    of_test = prepared(None, PLACE, "test", model(0))
    assert torch.equal(of_test, prepare(model(0), maps["test"]))
    assert prepared(None, PLACE, "train", model(1)) is made
    assert prepared(None, PLACE, "test", model(1)) is of_test


def test_nothing_is_shared_where_it_would_differ(maps):
    made = prepared(None, PLACE, "train", model())
    centred = model()
    centred.centre.fill_(0.25)
    others = {
        "centre": (PLACE, centred, None),
        "scheme": (PLACE, model(name="cells"), None),
        "dtype": (PLACE, model(), torch.float32),
        "place": (("scenes", *PLACE[1:]), model(), None),
        "baseline": (PLACE, GlobalClassifier(4, 2), None),
    }
    for name, (place, other, dtype) in others.items():
        found = prepared(None, place, "train", other, dtype)
        assert found is not made, name
        assert torch.equal(found, prepare(other, maps["train"], dtype=dtype)), name
        made = prepared(None, PLACE, "train", model())
