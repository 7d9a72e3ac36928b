"""Maps are computed once, rows are complete, interruption and limits change no number."""

import pandas as pd
import pytest
import torch

from opticam import GradCAM
from opticam.metrics import faithfulness
from reproduce import evaluation
from reproduce.evaluation import EXPERIMENT, Request, evaluate, merged

REQUESTS = [
    Request("tiny", "Fake-CAM"),
    Request("tiny", "Grad-CAM"),
    Request("tiny", "Opti-CAM", options={"iterations": 4}),
]


def values(workspace) -> pd.DataFrame:
    frame = workspace.store.frame("test", EXPERIMENT)
    return frame[frame["metric"] != "seconds"].reset_index(drop=True)


def test_rows_equal_a_plain_loop_over_single_images(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM")])
    stored = values(workspace).set_index(["image", "metric"])["value"]
    classifier = workspace.classifier("tiny")
    for index, name in enumerate(workspace.source.names):
        image, label = workspace.source.load(index)
        maps = GradCAM(classifier)(image[None], label)
        expected = faithfulness(classifier, image[None], maps, torch.tensor([label]))
        for metric, value in expected.items():
            assert stored[name, metric] == pytest.approx(value.item(), abs=1e-3)


def test_every_image_has_every_metric_of_every_method(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS)
    counts = values(workspace).groupby(["method", "metric"]).size()
    assert len(counts) == 9
    assert set(counts) == {7}


def test_second_run_computes_nothing(make_workspace, monkeypatch):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS)
    monkeypatch.setattr(evaluation, "_measure", lambda *_: pytest.fail("a map was computed twice"))
    evaluate(workspace, REQUESTS)


def test_interrupted_run_ends_with_the_bits_of_an_uninterrupted_one(make_workspace, monkeypatch):
    whole = make_workspace()
    evaluate(whole, REQUESTS)
    expected = values(whole)
    whole.store.delete("test", EXPERIMENT)
    measure, calls = evaluation._measure, iter(range(100))

    def interrupted(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(evaluation, "_measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(whole, REQUESTS)
    assert 0 < len(values(whole)) < len(expected)
    evaluate(whole, REQUESTS)
    pd.testing.assert_frame_equal(values(whole), expected, check_exact=True)


def test_growing_the_limit_changes_no_number_that_a_whole_run_would_give(make_workspace):
    small = make_workspace(count=4)
    evaluate(small, REQUESTS)
    small.pictures = make_workspace(count=7).pictures
    evaluate(small, REQUESTS)
    grown = values(small)
    small.store.delete("test", EXPERIMENT)
    evaluate(small, REQUESTS)
    pd.testing.assert_frame_equal(grown, values(small), check_exact=True)


def test_corrupt_images_are_recorded_and_the_others_measured(make_workspace):
    workspace = make_workspace(corrupt=(1, 6))
    evaluate(workspace, [Request("tiny", "Fake-CAM")])
    skips = workspace.store.skips("test", EXPERIMENT)
    assert list(skips.image) == ["picture1", "picture6"]
    assert set(skips.reason) == {"truncated file"}
    assert values(workspace)["image"].nunique() == 5


def test_requests_for_one_map_are_merged_and_contradictions_refused():
    assert merged([REQUESTS[0], REQUESTS[0]]) == [REQUESTS[0]]
    with pytest.raises(ValueError, match="different options"):
        merged([REQUESTS[2], Request("tiny", "Opti-CAM", options={"iterations": 5})])
