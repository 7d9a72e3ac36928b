"""Global and Parts on the same layer: the layer that is planned, and the table on a hand-made store."""

import pytest

from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import Results
from reproduce.experiments.dpnet import layers
from reproduce.experiments.dpnet.layers import LayerTable
from reproduce.experiments.dpnet.main import DELTA, UNCONSTRAINED
from reproduce.parts import models
from reproduce.parts.models import EXPERIMENT, LAYER, SAME_LAYER, PartRun, choose_all, planned, run_key
from reproduce.workspace.store import Row

ACCURACIES = {"Global": (60.0, 62.0), SAME_LAYER: (70.0, 71.0), UNCONSTRAINED: (68.0, 70.0)}
FIGURES = {"accuracy": 1.0, "cross_entropy": 1.0}
READ = {"Global": "features.5", SAME_LAYER: "features.3", UNCONSTRAINED: "features.3"}


def fill(workspace) -> None:
    for method, values in ACCURACIES.items():
        for seed, value in enumerate(values):
            keys = "test", EXPERIMENT, "tiny", method, run_key("fine", seed)
            workspace.store.write([Row(*keys, "accuracy", value), Row(*keys, f"{LAYER}{READ[method]}", 1.0)])


def test_the_baseline_is_planned_on_the_layer_that_parts_have_chosen(make_parts_workspace, monkeypatch):
    workspace = make_parts_workspace()
    monkeypatch.setattr("dpnet.training.selection.cross_validate", lambda *given, **device: FIGURES)
    choose_all(workspace, tuple(LayerTable().runs(workspace)))
    asked = []
    true_chosen = models.chosen

    def chosen(workspace, dataset, backbone, is_global, only_layer=None):
        asked.append((is_global, only_layer))
        best = ("features.3", "features.5")[is_global]
        return true_chosen(workspace, dataset, backbone, is_global, only_layer or best)

    monkeypatch.setattr(models, "chosen", chosen)
    read = {name: planned(workspace, PartRun("fine", "tiny", name, 0)).layer for name in READ}
    assert read == READ
    assert (True, "features.3") in asked


def test_the_table_sets_parts_against_the_baseline_on_their_layer(make_parts_workspace):
    workspace = make_parts_workspace()
    fill(workspace)
    table = LayerTable().tables(workspace)["dpnet_layers"]
    found = table.cells.set_index("method")
    assert list(found.index) == ["Global", SAME_LAYER, "Parts", DELTA]
    assert found["measured"].tolist() == pytest.approx([61.0, 70.5, 69.0, -1.5])
    assert "fine, tiny: Global features.5, Parts features.3" in table.caption


def test_the_same_layer_is_a_statement_of_this_project_and_no_claim_of_the_papers(make_parts_workspace):
    workspace = make_parts_workspace()
    fill(workspace)
    claims = frame(judge(Results(LayerTable().results(workspace)))).set_index("id")
    claim = claims.loc["same-layer"]
    assert (claim["kind"], claim["measured"], claim["n"]) == ("own statement", -1.5, 2)
    assert claim["verdict"] == "inconclusive"  # Student's t of -2 and -1 has an interval from -7.9 to 4.9


def test_models_of_the_main_table_are_not_forgotten(make_parts_workspace):
    workspace = make_parts_workspace()
    fill(workspace)
    LayerTable().forget(workspace)
    left = workspace.store.frame("test", EXPERIMENT)["method"]
    assert set(left) == {"Global", UNCONSTRAINED}


def test_without_results_the_table_is_empty(make_parts_workspace):
    table = LayerTable().tables(make_parts_workspace())["dpnet_layers"]
    assert not len(table.cells) and "no layer is stored yet" in table.caption
    assert layers.METHODS[1] == SAME_LAYER
