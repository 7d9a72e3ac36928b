"""Kept maps spare work, change no number, and are never mistaken for others."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from evaluating import evaluate

from opticam import Classifier, OptiCAM
from reproduce.saliency.evaluation import evaluated
from reproduce.saliency.requests import Request
from reproduce.saliency.stored import EXPERIMENT, forget
from reproduce.workspace.map_cache import MapCache, MapKey, classifier_digest

REQUEST = Request("tiny", "Opti-CAM [short]", ("faithfulness", "causal"), "Opti-CAM", {"iterations": 3})


def counted(monkeypatch):
    compute, calls = OptiCAM.compute, []
    monkeypatch.setattr(OptiCAM, "compute", lambda *given: calls.append(1) or compute(*given))
    return calls


def stored(workspace) -> pd.DataFrame:
    return workspace.store.frame("test", EXPERIMENT)


def test_kept_maps_give_the_same_rows_without_being_made_again(make_workspace, monkeypatch, tmp_path):
    workspace = make_workspace()
    workspace.all_maps = tmp_path / "cache"
    calls = counted(monkeypatch)
    evaluate(workspace, [REQUEST])
    first = stored(workspace)
    assert len(calls) == 3
    workspace.store.delete("test", EXPERIMENT)
    evaluate(workspace, [REQUEST])
    assert len(calls) == 3
    pd.testing.assert_frame_equal(stored(workspace), first, check_exact=True)


def test_without_a_cache_only_the_first_batch_is_kept(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [REQUEST])
    (path,) = (workspace.results / "maps").rglob("*.safetensors")
    assert path.parent.name == "Opti-CAM_short"


@pytest.mark.parametrize("keeps_all", [False, True])
def test_what_is_forgotten_is_made_again_and_no_kept_map_is_read(
    make_workspace, monkeypatch, tmp_path, keeps_all
):
    """As after a change of a method's code, which no digest tells of; other methods' maps stay."""
    workspace, other = make_workspace(), Request("tiny", "Fake-CAM")
    evaluate(workspace, [REQUEST, other])
    workspace.all_maps = tmp_path / "cache" if keeps_all else None
    evaluate(workspace, [replace(REQUEST, groups=("seconds",))])
    compute = OptiCAM.compute
    monkeypatch.setattr(OptiCAM, "compute", lambda *given: 1 - compute(*given))
    forget(workspace, [REQUEST])
    evaluate(workspace, [REQUEST])
    fresh = make_workspace()
    fresh.results = tmp_path / "fresh"
    evaluate(fresh, [REQUEST])
    for metric in ("AD", "insertion"):
        found, expected = (
            given.store.frame("test", EXPERIMENT, method=REQUEST.method, metric=metric)
            for given in (workspace, fresh)
        )
        pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert list((workspace.results / "maps").rglob("Fake-CAM/*.safetensors"))
    workspace.all_maps = None
    assert torch.equal(*(next(evaluated(given, [REQUEST], [3])).maps for given in (workspace, fresh)))


def test_maps_for_figures_come_from_the_cache(make_workspace, monkeypatch):
    workspace = make_workspace()
    evaluate(workspace, [REQUEST])
    calls = counted(monkeypatch)
    (given,) = evaluated(workspace, [REQUEST], [3])
    assert given.maps.shape == (3, 17, 19)
    assert not calls


def test_a_part_of_a_kept_batch_is_found_and_more_than_it_is_not(tmp_path):
    cache, key, maps = MapCache(tmp_path), MapKey("net", "CAM", "0" * 16), torch.rand(3, 4, 5)
    cache.save(key, ["a", "b", "c"], maps, 0.5)
    found, _ = cache.load(key, ["c", "a"])
    assert torch.equal(found, maps[[2, 0]])
    assert cache.load(key, ["a", "d"]) is None


def test_methods_whose_names_differ_by_plus_signs_are_kept_apart(tmp_path):
    cache = MapCache(tmp_path)
    kept = {MapKey("net", method, "0" * 16): torch.rand(1, 4, 5) for method in ("Grad-CAM", "Grad-CAM++")}
    for key, maps in kept.items():
        cache.save(key, ["a"], maps, 0.5)
    assert all(torch.equal(cache.load(key, ["a"])[0], maps) for key, maps in kept.items())


@pytest.mark.parametrize(
    ("network", "kind", "options", "images", "start"),
    [
        ("other", "Opti-CAM", {"iterations": 3}, "set", "a"),
        ("network", "Score-CAM", {"iterations": 3}, "set", "a"),
        ("network", "Opti-CAM", {"iterations": 4}, "set", "a"),
        ("network", "Opti-CAM", {"iterations": 3}, "other set", "a"),
        ("network", "Opti-CAM", {"iterations": 3}, "set", "b"),
    ],
)
def test_the_key_tells_maps_apart(network, kind, options, images, start):
    reference = REQUEST.map_key("network", "set", "a")
    other = Request("tiny", "Opti-CAM [short]", REQUEST.groups, kind, options)
    assert other.map_key(network, images, start) != reference
    assert REQUEST.map_key("network", "set", "a") == reference


def test_the_network_s_digest_follows_weights_pixels_layer_and_level(make_workspace):
    workspace = make_workspace()
    classifier = workspace.classifier("tiny")
    digest = classifier_digest(classifier)
    assert classifier_digest(workspace.classifier("tiny")) == digest
    assert classifier_digest(workspace.classifier("tiny", normalised=False)) != digest
    pixels = {"mean": (0.5,) * 3, "std": (0.2,) * 3}
    assert classifier_digest(Classifier(classifier.network, "features.5", **pixels)) == digest
    assert classifier_digest(Classifier(classifier.network, "features.3", **pixels)) != digest
    for changed in ({"mean": (0.4,) * 3}, {"std": (0.3,) * 3}, {"optimize": "exact"}):
        assert classifier_digest(Classifier(classifier.network, "features.5", **pixels | changed)) != digest
    with torch.no_grad():
        classifier.network.head.weight[0] += 1
    assert classifier_digest(classifier) != digest


def test_a_damaged_file_is_told_not_used(tmp_path):
    cache, key = MapCache(tmp_path), MapKey("net", "CAM", "0" * 16)
    assert cache.load(key, ["a"]) is None
    cache.save(key, ["a", "b"], torch.rand(2, 3, 5), 0.25)
    maps, seconds = cache.load(key, ["a", "b"])
    assert maps.shape == (2, 3, 5) and seconds == 0.25
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ValueError, match="damaged"):
        cache.load(key, ["a"])
