"""Maps are computed once, rows are complete, interruption and limits change no number."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch
from evaluating import evaluate

from opticam import FakeCAM, GradCAM, OptiCAM, ScoreCAM
from opticam.metrics import adcc, deletion, faithfulness, insertion, target_probability
from reproduce.saliency import evaluation, explained_batch
from reproduce.saliency.course_groups import AFTER, CLASSES, ITERATIONS, OF_CLASS, STOP, STOPPED
from reproduce.saliency.deviation_groups import OF_PREDICTION
from reproduce.saliency.requests import Request, by_network
from reproduce.saliency.stored import (
    BOX_DEFINITION,
    BOX_METRICS,
    DEFINITION,
    EXPERIMENT,
    WITHOUT_BOXES,
    discard_outdated,
    forget,
    skipped,
    unknown_labels,
)

REQUESTS = [
    Request("tiny", "Fake-CAM"),
    Request("tiny", "Grad-CAM", ("faithfulness", "causal", "localization", "box study", "robustness")),
    Request("tiny", "Opti-CAM", options={"iterations": 4}),
]


def values(workspace, **filters) -> pd.DataFrame:
    frame = workspace.store.frame("test", EXPERIMENT, **filters)
    return frame[~frame["metric"].isin(["seconds", DEFINITION, BOX_DEFINITION])].reset_index(drop=True)


def stored(workspace, **filters) -> pd.Series:
    return values(workspace, **filters).set_index(["image", "metric"])["value"]


def single_images(workspace):
    for index, name in enumerate(workspace.source.names):
        image, label = workspace.source.load(index)
        yield name, image[None], torch.tensor([label])


def test_rows_equal_a_plain_loop_over_single_images(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("faithfulness", "causal"))])
    found, classifier = stored(workspace), workspace.classifier("tiny")
    for name, image, label in single_images(workspace):
        maps = GradCAM(classifier)(image, label)
        expected = faithfulness(classifier, image, maps, label)
        expected["insertion"] = insertion(classifier, image, maps, steps=19).auc
        for metric, value in expected.items():
            assert found[name, metric] == pytest.approx(value.item(), abs=1e-3)


def test_every_image_has_every_metric_of_every_method(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS)
    counts = values(workspace).groupby(["method", "metric"]).size()
    assert counts.groupby("method").size().to_dict() == {"Fake-CAM": 3, "Grad-CAM": 40, "Opti-CAM": 3}
    assert set(counts) == {7}


def test_second_run_computes_nothing(make_workspace, monkeypatch):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS)
    monkeypatch.setattr(evaluation, "_measure", lambda *_: pytest.fail("a map was computed twice"))
    evaluate(workspace, REQUESTS)


def test_all_metrics_of_a_map_read_one_computation(make_workspace, monkeypatch):
    workspace = make_workspace(count=3)
    compute, calls = OptiCAM.compute, []
    monkeypatch.setattr(OptiCAM, "compute", lambda *given: calls.append(1) or compute(*given))
    groups = ("seconds", "faithfulness", "causal", "curves", "grey deletion", "localization", "selectivity")
    requests = [Request("tiny", "Opti-CAM", (group,), options={"iterations": 2}) for group in groups]
    evaluate(workspace, requests)
    assert len(calls) == 1


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


def test_results_of_an_earlier_revision_of_a_method_are_discarded(make_workspace, monkeypatch):
    workspace = make_workspace(count=3)
    evaluate(workspace, REQUESTS)
    monkeypatch.setattr(FakeCAM, "revision", FakeCAM.revision + 1)
    discard_outdated(workspace, REQUESTS)
    assert set(values(workspace)["method"]) == {"Grad-CAM", "Opti-CAM"}


@pytest.mark.parametrize(
    ("method", "options", "digest"),
    [
        ("Grad-CAM", {}, "73bfa1dd95f6fe45"),
        ("Opti-CAM", {"iterations": 50, "relu_features": False}, "50e7832c17042c38"),
        ("Network", {}, "b007a8d217722765"),
    ],
)
def test_what_was_stored_before_methods_had_revisions_is_the_first_one_s(method, options, digest):
    """The digests are those that the code of commit a60b21d gave."""
    request = Request("resnet50", method, options=options)
    assert request.map_key("classifier", "pictures", "first").digest == digest


def test_growing_the_limit_changes_no_number_that_a_whole_run_would_give(make_workspace):
    small = make_workspace(count=4)
    evaluate(small, REQUESTS)
    small.pictures = make_workspace(count=7).pictures
    evaluate(small, REQUESTS)
    grown = values(small)
    small.store.delete("test", EXPERIMENT)
    evaluate(small, REQUESTS)
    pd.testing.assert_frame_equal(grown, values(small), check_exact=True)


def test_a_request_for_fewer_images_measures_only_these(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [replace(REQUESTS[0], images=2), replace(REQUESTS[2], images=4)])
    counts = values(workspace, metric="AD").groupby("method").size()
    assert counts.to_dict() == {"Fake-CAM": 2, "Opti-CAM": 4}


def test_groups_of_one_map_may_ask_for_different_numbers_of_images(make_workspace):
    workspace = make_workspace()
    faithful, causal = (replace(REQUESTS[1], groups=(group,)) for group in ("faithfulness", "causal"))
    evaluate(workspace, [replace(causal, images=4), faithful, replace(causal, images=2)])
    counts = values(workspace).groupby("metric")["image"].agg(set)
    assert len(counts["AD"]) == 7
    assert counts["insertion"] == {f"picture{index}" for index in range(4)}


def test_groups_of_equally_many_images_read_the_same_curves(make_workspace, monkeypatch):
    workspace, counted = make_workspace(count=5), []
    for metric in (insertion, deletion):
        count = partial(lambda made, *given, **options: counted.append(1) or made(*given, **options), metric)
        monkeypatch.setattr(explained_batch, metric.__name__, count)
    requests = [Request("tiny", "Grad-CAM", (group,), images=2) for group in ("causal", "curves")]
    evaluate(workspace, [Request("tiny", "Grad-CAM"), *requests])
    assert len(counted) == 2


def test_curves_of_the_prediction_are_those_of_its_own_map(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("causal of prediction",))])
    found, classifier = stored(workspace), workspace.classifier("tiny")
    other = 0
    for name, image, label in single_images(workspace):
        maps = GradCAM(classifier)(image)  # of the predicted class
        other += int(classifier(image).argmax(1) != label)
        for metric in (insertion, deletion):
            expected = metric(classifier, image, maps, steps=19).auc.item()
            assert found[name, OF_PREDICTION[metric.__name__]] == pytest.approx(expected, abs=1e-3)
    assert other > 0  # else nothing would tell the two classes apart


def test_corrupt_images_are_recorded_and_the_others_measured(make_workspace):
    workspace = make_workspace(corrupt=(1, 6))
    evaluate(workspace, [Request("tiny", "Fake-CAM")])
    skips = workspace.store.skips("test", EXPERIMENT)
    assert list(skips.image) == ["picture1", "picture6"]
    assert set(skips.reason) == {"truncated file"}
    assert values(workspace)["image"].nunique() == 5


def test_labels_out_of_range_are_recorded_and_the_others_measured(make_workspace):
    workspace = make_workspace(labels={4: 3})
    evaluate(workspace, [Request("tiny", "Fake-CAM")])
    skips = workspace.store.skips("test", unknown_labels("tiny"))
    assert skips.to_dict("list") == {
        "image": ["picture4"],
        "reason": ["its label is not among the network's 3 classes"],
    }
    assert values(workspace)["image"].nunique() == 6


def test_a_label_unknown_to_one_network_hides_the_image_from_no_other(make_workspace, monkeypatch):
    """Also where a run was killed between the two networks."""

    def of_five(workspace, network, normalised=True):
        classifier = tiny(workspace, network)
        if network == "five":
            classifier.network.head = torch.nn.Linear(7, 5)
        return classifier

    def counts(workspace):
        return values(workspace, metric="AD").groupby("network").size().to_dict()

    workspace = make_workspace(labels={0: 4, 3: 4})
    tiny = type(workspace).classifier
    monkeypatch.setattr(type(workspace), "classifier", of_five)
    three, five = (Request(name, "Grad-CAM") for name in ("three", "five"))
    evaluate(workspace, [three])
    evaluate(workspace, [three, five])
    assert counts(workspace) == {"three": 5, "five": 7}
    assert skipped(workspace).image.tolist() == ["picture0", "picture3"]
    monkeypatch.setattr(evaluation, "_measure", lambda *_: pytest.fail("a map was computed twice"))
    discard_outdated(workspace, [three, five])
    evaluate(workspace, [three, five])


def test_what_was_skipped_is_measured_once_the_reason_is_gone(make_workspace):
    """Pictures are tried again; labels and boxes that were repaired are others."""
    request = Request("tiny", "Grad-CAM", ("faithfulness", "localization"))
    workspace = make_workspace(corrupt=(1, 6), labels={4: 3}, boxless=(2,))
    workspace.pictures.boxes_fingerprint = "0" * 16
    evaluate(workspace, [request])
    assert len(skipped(workspace)) == 3
    workspace = make_workspace(corrupt=(6,))
    workspace.pictures.fingerprint, workspace.pictures.boxes_fingerprint = "repaired labels", "1" * 16
    discard_outdated(workspace, [request])
    evaluate(workspace, [request])
    assert skipped(workspace).image.tolist() == ["picture6"]
    assert workspace.store.skips("test", WITHOUT_BOXES).empty
    found = values(workspace)
    fresh = make_workspace(corrupt=(6,))
    fresh.results = workspace.results / "fresh"
    evaluate(fresh, [request])
    pd.testing.assert_frame_equal(found, values(fresh))


def test_labels_that_no_network_knows_are_measured_once_they_are_repaired(make_workspace):
    workspace = make_workspace(labels=dict.fromkeys(range(7), 9))
    evaluate(workspace, REQUESTS[:1])
    assert values(workspace).empty and len(skipped(workspace)) == 7
    workspace = make_workspace()
    workspace.pictures.fingerprint = "repaired labels"
    discard_outdated(workspace, REQUESTS[:1])
    evaluate(workspace, REQUESTS[:1])
    assert len(values(workspace, metric="AD")) == 7 and skipped(workspace).empty


def test_other_boxes_discard_what_reads_them_and_no_more(make_workspace):
    workspace = make_workspace()
    workspace.pictures.boxes_fingerprint = "0" * 16
    evaluate(workspace, REQUESTS)
    before = values(workspace)
    discard_outdated(workspace, REQUESTS)
    pd.testing.assert_frame_equal(values(workspace), before)
    workspace.pictures.boxes_fingerprint = "1" * 16
    discard_outdated(workspace, REQUESTS)
    reads_boxes = before["metric"].isin(BOX_METRICS)
    assert reads_boxes.any()
    pd.testing.assert_frame_equal(values(workspace), before[~reads_boxes].reset_index(drop=True))
    evaluate(workspace, REQUESTS)
    pd.testing.assert_frame_equal(values(workspace), before)


def test_images_without_boxes_are_recorded_and_keep_their_other_metrics(make_workspace):
    workspace = make_workspace(boxless=(2, 3, 4, 5))
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("faithfulness", "localization"))])
    assert list(workspace.store.skips("test", WITHOUT_BOXES).image) == [f"picture{i}" for i in (2, 3, 4, 5)]
    found = values(workspace).pivot(index="image", columns="metric", values="value")
    assert found["AD"].notna().all()
    assert list(found.index[found["EP"].isna()]) == [f"picture{i}" for i in (2, 3, 4, 5)]


@pytest.mark.parametrize(
    ("name", "method", "masked"), [("Grad-CAM", GradCAM, 0), ("Score-CAM", ScoreCAM, 7 * 6)]
)
def test_maps_of_other_classes_are_scored_against_the_label(
    make_workspace, monkeypatch, name, method, masked
):
    """Those of Score-CAM come of the passes of one class: each image once under each channel's mask."""
    calls, logits = [], ScoreCAM._masked_logits
    monkeypatch.setattr(
        ScoreCAM,
        "_masked_logits",
        lambda *given: calls.append(len(given[2]) * len(given[3])) or logits(*given),
    )
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", name, ("faithfulness", "other classes", "accuracy"))])
    assert sum(calls) == masked
    found, classifier = stored(workspace), workspace.classifier("tiny")
    for image_name, image, label in single_images(workspace):
        ordered = classifier(image).topk(3).indices
        for other, place in CLASSES.items():
            expected = faithfulness(classifier, image, method(classifier)(image, ordered[:, place]), label)
            for score, values_of in expected.items():
                assert found[image_name, OF_CLASS[score, other]] == pytest.approx(values_of.item(), abs=1e-3)
    assert set(values(workspace, metric="accuracy")["value"]) == {0, 100}


def test_scores_after_some_iterations_are_those_of_a_shorter_optimisation(make_workspace):
    workspace = make_workspace()
    rates = {"iterations": max(ITERATIONS), "learning_rate": 0.3}
    evaluate(workspace, [Request("tiny", "long", ("after iterations",), kind="Opti-CAM", options=rates)])
    found, classifier = stored(workspace), workspace.classifier("tiny")
    for count in ITERATIONS:
        method = OptiCAM(classifier, iterations=count, learning_rate=0.3)
        for name, image, label in single_images(workspace):
            expected = faithfulness(classifier, image, method(image, label), label)
            for score, values_of in expected.items():
                assert found[name, AFTER[score, count]] == pytest.approx(values_of.item(), abs=0.02)


def test_how_opticam_went_on_is_read_from_the_optimisation_that_made_the_maps(make_workspace, monkeypatch):
    calls, optimise = [], OptiCAM.optimise
    monkeypatch.setattr(
        OptiCAM, "optimise", lambda self, *given: calls.append(len(given[0])) or optimise(self, *given)
    )
    workspace = make_workspace()
    asked = Request("tiny", "Opti-CAM", ("seconds", "faithfulness"), options={"iterations": 20})
    evaluate(workspace, [asked, replace(asked, groups=("early stop",), images=5)])
    assert calls == [3, 3]  # the whole batches that hold five images
    stops = values(workspace, metric=STOP).set_index("image")["value"]
    assert len(stops) == 5
    found = stored(workspace)
    for name in stops.index[stops == 20]:
        assert found[name, STOPPED["AD"]] == pytest.approx(found[name, "AD"], abs=1e-3)
    with pytest.raises(TypeError, match="GradCAM does not optimise"):
        evaluate(workspace, [Request("tiny", "Grad-CAM", ("early stop",))])


def test_adcc_explains_the_predicted_class(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("robustness", "accuracy"))])
    found, classifier = stored(workspace), workspace.classifier("tiny")
    method = GradCAM(classifier)
    for name, image, label in single_images(workspace):
        predicted = classifier(image).argmax(1)
        expected = adcc(classifier, method, image, method(image, predicted))["ADCC"]
        assert found[name, "ADCC"] == pytest.approx(expected.item(), abs=1e-2)
        assert found[name, "accuracy"] == 100 * bool(predicted == label)
    assert set(values(workspace, metric="accuracy")["value"]) == {0, 100}


def test_selectivity_of_exponent_one_is_the_map_itself(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("faithfulness", "selectivity"))])
    table = values(workspace).pivot(index="image", columns="metric", values="value")
    assert (table["AD 1"] == table["AD"]).all()
    assert table["AD 10"].mean() > table["AD 0.01"].mean()


def test_curve_points_span_the_curve_whose_area_is_the_score(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("causal", "curves"))])
    found, classifier = stored(workspace), workspace.classifier("tiny")
    for name, image, _ in single_images(workspace):
        logits = classifier(image)
        whole = 100 * target_probability(classifier, image, logits.argmax(1)).item()
        assert found[name, "insertion 16"] == pytest.approx(whole, abs=1e-3)
        assert found[name, "deletion 0"] == pytest.approx(whole, abs=1e-3)
        points = [found[name, f"insertion {point}"] for point in range(17)]
        assert sum(points) / 17 == pytest.approx(found[name, "insertion"], abs=2)


def test_raw_pixels_are_another_network_in_the_store(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", normalised=normal) for normal in (True, False)])
    means = values(workspace, metric="AD").groupby("network")["value"].mean()
    assert list(means.index) == ["tiny", "tiny [no normalisation]"]
    assert means.iloc[0] != means.iloc[1]


def test_results_of_other_options_are_discarded_and_no_others(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS)
    discard_outdated(workspace, REQUESTS)
    assert values(workspace).groupby("method").size().index.size == 3
    changed = [REQUESTS[0], replace(REQUESTS[2], options={"iterations": 5})]
    discard_outdated(workspace, changed)
    assert set(values(workspace)["method"]) == {"Fake-CAM", "Grad-CAM"}


def test_results_of_another_network_or_other_pictures_are_discarded(make_workspace, monkeypatch):
    workspace = make_workspace()
    evaluate(workspace, REQUESTS[:1])
    again = make_workspace()
    again.pictures.fingerprint = "others"
    discard_outdated(again, REQUESTS[:1])
    assert values(again).empty
    evaluate(again, REQUESTS[:1])
    trained = make_workspace()
    trained.pictures.fingerprint = "others"
    monkeypatch.setattr(type(trained), "digest", lambda *_: "weights of another training")
    discard_outdated(trained, REQUESTS[:1])
    assert values(trained).empty


def test_forgetting_deletes_what_was_asked_for_and_no_more(make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Grad-CAM", ("faithfulness", "causal"))])
    workspace.store.skip("test", EXPERIMENT, "picture9", "corrupt")
    forget(workspace, [Request("tiny", "Grad-CAM", ("causal",))])
    assert workspace.store.skips("test", EXPERIMENT).empty
    assert set(values(workspace)["metric"]) == {"AD", "AG", "AI"}


@pytest.mark.parametrize("by_request", [False, True])
def test_a_first_look_forgets_its_own_pictures_and_leaves_the_whole_run_s(
    make_workspace, tmp_path, by_request
):
    """As `run --limit 2 --force`, or an experiment on fewer images than others of the same maps."""
    whole, asked = make_workspace(), Request("tiny", "Grad-CAM", ("faithfulness", "causal"))
    whole.all_maps = tmp_path / "maps"
    evaluate(whole, [asked])
    for name in ("picture0", "picture6"):
        whole.store.skip("test", WITHOUT_BOXES, name, "no object boxes")
    before, files = values(whole), {path: path.read_bytes() for path in whole.all_maps.rglob("*.safetensors")}
    look = make_workspace()
    look.all_maps = whole.all_maps
    if by_request:
        asked = replace(asked, images=2)
    else:
        look.pictures, look.profile = make_workspace(count=2).pictures, replace(look.profile, limit=2)
    forget(look, [asked])
    others = before[~before["image"].isin(["picture0", "picture1"])].reset_index(drop=True)
    assert 0 < len(others) < len(before)
    pd.testing.assert_frame_equal(values(whole), others, check_exact=True)
    left = {path: path.read_bytes() for path in whole.all_maps.rglob("*.safetensors")}
    assert len(files) == 3 and len(left) == 2 and left.items() < files.items()
    skips = whole.store.skips("test", WITHOUT_BOXES).image.tolist()
    assert skips == ([] if by_request else ["picture6"])
    discard_outdated(look, [asked])
    evaluate(look, [asked])
    pd.testing.assert_frame_equal(values(whole), before, check_exact=True)


def test_a_first_look_with_other_options_mixes_with_no_rows_of_the_whole_run(make_workspace):
    whole = make_workspace()
    evaluate(whole, REQUESTS[2:])
    look, other = make_workspace(), replace(REQUESTS[2], options={"iterations": 5})
    look.pictures, look.profile = make_workspace(count=2).pictures, replace(look.profile, limit=2)
    forget(look, [other])
    discard_outdated(look, [other])
    evaluate(look, [other])
    assert set(values(whole)["image"]) == {"picture0", "picture1"}


def test_requests_for_one_map_are_joined_and_contradictions_refused():
    assert by_network([REQUESTS[0], REQUESTS[0]]) == {"tiny": {"Fake-CAM": [REQUESTS[0]] * 2}}
    with pytest.raises(ValueError, match="different options"):
        by_network([REQUESTS[2], Request("tiny", "Opti-CAM", options={"iterations": 5})])
