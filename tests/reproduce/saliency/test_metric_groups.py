"""Stored rows of every group are those of direct calls of the metrics, image by image, with the papers' settings."""

import pytest
import torch
from evaluating import evaluate

from opticam import GradCAM, metrics
from opticam.metrics.box_accuracy import DELTAS
from reproduce.saliency.requests import Request
from reproduce.saliency.stored import BOX_DEFINITION, DEFINITION, EXPERIMENT

SIZE = (60, 64)
GROUPS = ("localization", "box study", "box", "grey deletion", "robustness", "selectivity", "sanity")
BLOCKS = [f"network.{name}" for name in ("head", "hidden.0", "features.4", "features.2", "features.0")]


def boxes(index: int, protocol: str) -> torch.Tensor:
    """Other ones in each protocol's frame; the legacy one may begin outside the image."""
    frame = [[20.0, 8.0, 50.0 + index, 40.0], [0.0, 0.0, 14.0, 25.0]]
    shift = torch.tensor([3.0, -11.0, 2.0, 7.0]) if protocol == "legacy" else 0.0
    return torch.tensor(frame)[: 1 + index % 2] + shift


@pytest.fixture
def evaluated(make_workspace):
    """The workspace, and its stored values by image and metric."""
    workspace = make_workspace(count=4, size=SIZE)
    workspace.pictures.boxes = boxes
    evaluate(workspace, [Request("tiny", "Grad-CAM", GROUPS)])
    return workspace, workspace.store.frame("test", EXPERIMENT).set_index(["image", "metric"])["value"]


def of_boxes(classifier, image, maps, label, own_boxes, protocol) -> dict[str, torch.Tensor]:
    """Metrics of one image that need boxes, under the store's names without the protocol."""
    correct = classifier(image).argmax(1) == label
    regions = metrics.box_study(classifier, image, maps, label, own_boxes, protocol=protocol)
    overlaps = metrics.box_overlaps(maps, own_boxes, protocol)[0].tolist()
    return {
        **metrics.localization(maps, own_boxes, correct, protocol),
        "SM": metrics.saliency_metric(classifier, image, maps, label, protocol),
        **{
            f"{score} {region}": column
            for region, study in regions.items()
            if region != "S"  # the group "faithfulness"
            for score, column in study.items()
        },
        **{
            f"hits {delta:g}": torch.tensor(
                float(sum(2**t for t, one in enumerate(overlaps) if one >= delta))
            )
            for delta in DELTAS
        },
    }


def of_maps(classifier, image, maps, label) -> dict[str, torch.Tensor]:
    """Metrics of one image that need none, under the store's names; the explained class is the true one."""
    method, predicted = GradCAM(classifier), classifier(image).argmax(1)
    grey = metrics.deletion(classifier, image, maps, predicted, substrate=(0.5,) * 3, steps=SIZE[1])
    powers = {
        f"{name} {alpha:g}": column
        for alpha in (0.01, 0.05, 0.1, 0.5, 1, 1.5, 2, 3, 5, 10)
        for name, column in metrics.faithfulness(classifier, image, maps**alpha, label).items()
    }
    forgotten = metrics.randomization_check(GradCAM, classifier, image, label, BLOCKS)
    return {
        "grey deletion": grey.auc,
        "AOPC": metrics.aopc(classifier, image, maps, label, patch=SIZE[1] // 16, regions=10),
        "MS": metrics.max_sensitivity(method, image, maps, label),
        **metrics.adcc(classifier, method, image, method(image, predicted)),
        **powers,
        **{
            f"{name} {step}": column
            for step, block in enumerate(BLOCKS, start=1)
            for name, column in forgotten[block].items()
        },
    }


@pytest.mark.filterwarnings("ignore:target_layer")  # of a network that forgot everything, or a masked image
def test_rows_of_each_group_are_direct_calls_on_single_images(evaluated):
    workspace, found = evaluated
    classifier, known = workspace.classifier("tiny"), set()
    for index, name in enumerate(workspace.source.names):
        image, label = (torch.as_tensor(one)[None] for one in workspace.source.load(index))
        maps = GradCAM(classifier)(image, label)
        known.add(bool(classifier(image).argmax(1) == label))
        expected = of_maps(classifier, image, maps, label)
        for protocol, ending in (("paper", ""), ("legacy", " legacy")):
            values = of_boxes(classifier, image, maps, label, [boxes(index, protocol)], protocol)
            expected |= {metric + ending: value for metric, value in values.items()}
        for metric, value in expected.items():
            assert found[name, metric] == pytest.approx(value.item(), abs=1e-3, nan_ok=True), metric
    assert known == {True, False}
    stored = set(found.index.get_level_values("metric"))
    assert stored - set(expected) <= {"seconds", DEFINITION, BOX_DEFINITION}
