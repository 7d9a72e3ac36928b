"""Participation maps under Opti-CAM's metrics: stored numbers against loops, and what is measured again."""

import numpy as np
import pytest
import torch

from dpnet import PartClassifier, TrainingSettings
from dpnet.data.geometry import to_pixels
from dpnet.model.recipes import PartRecipe
from dpnet.training.runs import Run
from opticam.sample.pictures import SampleSet
from reproduce.benchmarks.causal.sides import plain
from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import Results
from reproduce.experiments.dpnet import faithfulness as experiment
from reproduce.experiments.dpnet.faithfulness import DENSE, EXACT, METRICS, FaithfulnessTable, methods
from reproduce.parts.choices import Choice
from reproduce.workspace.store import batch_rows

COUNT, SIDE = 5, 16


def pictures() -> SampleSet:
    images = torch.randint(0, 256, (COUNT, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[1, 2, 9 + index, 14]]) for index in range(COUNT)]
    rest = {"part_centres": [], "part_ids": [], "other_boxes": [], "class_names": [], "class_parts": []}
    return SampleSet("fine", "test", images.byte(), torch.arange(COUNT) % 3, boxes, **rest)


@pytest.fixture
def model(monkeypatch) -> PartClassifier:
    """The trained model of every run; its recipe is that of `planned`."""
    torch.manual_seed(0)
    found = PartClassifier(6, 3, 2).eval()
    torch.nn.init.normal_(found.classifier.weight, std=3.0)
    choice = Choice("features.5", Run("parts", PartRecipe(2), TrainingSettings()))
    monkeypatch.setattr(experiment, "planned", lambda workspace, run: choice)
    monkeypatch.setattr(experiment, "load_model", lambda workspace, run: found)
    monkeypatch.setattr(experiment, "train_missing", lambda workspace, runs: None)
    monkeypatch.setattr(experiment, "dataset_split", lambda workspace, dataset, split: pictures())
    monkeypatch.setattr(experiment, "BATCH", 3)
    return found


@pytest.fixture
def measured(monkeypatch) -> list[str]:
    """The methods measured, a name a batch."""
    calls, values = [], experiment._values
    monkeypatch.setattr(
        experiment,
        "_values",
        lambda view, network, name, build: calls.append(name) or values(view, network, name, build),
    )
    return calls


def exact_map(model: PartClassifier, features: torch.Tensor, label: int) -> np.ndarray:
    """Participation where each part was found, cell by cell, its positive share stretched to [0,1]."""
    output, cells = model(features), np.zeros(features.shape[-2:], dtype=np.float32)
    for part, region in enumerate(output.argmax_region[0].tolist()):
        cells[divmod(region, cells.shape[1])] += (
            model.classifier.weight[label, part] * output.bag_of_parts[0, part]
        ).item()
    pixels = to_pixels(torch.tensor(cells.clip(min=0))[None], (SIDE, SIDE), model.grid)[0].numpy().clip(min=0)
    return (pixels - pixels.min()) / np.ptp(pixels)


@torch.no_grad()
def test_stored_numbers_match_loops_over_the_pictures(make_parts_workspace, model):
    workspace = make_parts_workspace()
    FaithfulnessTable().run(workspace)
    stored = workspace.store.frame("test", "dpnet-faithfulness", metric=METRICS)
    stored = stored.set_index(["method", "image", "metric"])["value"]
    assert len(stored) == len(methods()) * COUNT * len(METRICS) and stored.notna().all()
    backbone, data = workspace.classifier("tiny"), pictures()

    def logits(images):
        return model(backbone.features(images)).logits

    for index in range(COUNT):
        image, label = data[index]
        whole = np.ones((SIDE, SIDE))
        whole[0, 0] = 0
        found = {EXACT: exact_map(model, backbone.features(image[None]), label), "Fake-CAM": whole}
        for name, saliency_map in found.items():
            own = stored[name, f"fine/test/{index:05d}"]
            masked = image * torch.from_numpy(saliency_map).float()
            p, o = (logits(pixels[None]).softmax(1)[0, label].item() for pixels in (image, masked))
            assert own["AD"] == pytest.approx(100 * max(0, p - o) / p, abs=0.01)
            assert own["AG"] == pytest.approx(100 * max(0, o - p) / (1 - p), abs=0.01)
            assert own["AI"] == 100 * (o > p)
            x1, y1, x2, y2 = data.boxes[index][0].tolist()
            row, column = np.unravel_index(saliency_map.argmax(), saliency_map.shape)
            assert own["SP"] == 100 * (y1 <= row < y2 and x1 <= column < x2)
            share = saliency_map[y1:y2, x1:x2].sum() / saliency_map.sum()
            assert own["EP"] == pytest.approx(100 * share, abs=0.01)
            areas = plain(logits, image[None], torch.from_numpy(saliency_map)[None].float())[:, 0]
            # Rounding decides the order of pixels that interpolation makes all but equal.
            error = 0.02 if name == "Fake-CAM" else 1.5
            assert [own["insertion"], own["deletion"]] == pytest.approx(areas.tolist(), abs=error)


def test_what_is_stored_is_measured_again_only_for_another_model(
    make_parts_workspace, model, measured, monkeypatch
):
    FaithfulnessTable().run(make_parts_workspace())
    assert measured == 2 * list(methods())  # five pictures are two batches
    measured.clear()
    FaithfulnessTable().run(make_parts_workspace())
    assert not measured
    other = Choice("features.5", Run("parts", PartRecipe(2), TrainingSettings(epochs=7)))
    monkeypatch.setattr(experiment, "planned", lambda workspace, run: other)
    FaithfulnessTable().run(make_parts_workspace())
    assert measured == 2 * list(methods())


def test_pictures_of_an_earlier_and_larger_look_are_not_averaged_in(make_parts_workspace, model):
    """Nor those of the model before."""
    for count in (4, 2):
        FaithfulnessTable().run(make_parts_workspace(limit=count))
    cells = FaithfulnessTable().tables(make_parts_workspace(limit=2))["dpnet_faithfulness"].cells
    assert set(cells["n"]) == {2}


def test_a_first_look_explains_as_many_pictures_as_asked_for_and_leaves_those_of_the_whole_run(
    make_parts_workspace, model, measured, monkeypatch
):
    def rows(workspace):
        return (
            FaithfulnessTable()
            .results(workspace)["dpnet_faithfulness"]
            .set_index(["image", "metric"])["value"]
        )

    look, whole = make_parts_workspace(limit=2), make_parts_workspace()
    FaithfulnessTable().run(whole)
    before = rows(whole)
    monkeypatch.setattr(model.classifier.weight, "data", -model.classifier.weight.data)  # trained shorter
    FaithfulnessTable().run(look)
    assert set(rows(look).index) == {
        (f"fine/test/{picture:05d}", metric) for picture in range(2) for metric in METRICS
    }
    assert not rows(look).equals(before[before.index.isin(rows(look).index)])
    FaithfulnessTable().run(make_parts_workspace())
    assert rows(make_parts_workspace()).equals(before)
    assert measured == 3 * list(methods())  # five pictures are two batches, two are one


@pytest.mark.parametrize("count", [4, 10, 48, 89, 100])
def test_of_folders_each_class_has_its_share_up_to_one_picture(make_parts_workspace, monkeypatch, count):
    """Ten classes of other sizes, one after the other."""
    labels = np.repeat(np.arange(10), [3, 12, 9, 9, 9, 7, 11, 9, 15, 5])
    monkeypatch.setattr(experiment, "dataset_split", lambda workspace, dataset, split: labels)
    workspace = make_parts_workspace(source="folder", explained=count)
    (run,) = FaithfulnessTable().runs(workspace)
    chosen = experiment.explained_pictures(workspace, run).numpy()
    assert len(set(chosen)) == min(count, 89)
    share = np.bincount(labels) * len(chosen) / len(labels)
    assert (np.abs(np.bincount(labels[chosen], minlength=10) - share) < 1).all()


def test_of_drawn_pictures_the_first_ones_are_explained(make_parts_workspace, monkeypatch):
    monkeypatch.setattr(experiment, "dataset_split", lambda workspace, dataset, split: pictures())
    workspace = make_parts_workspace(explained=3)
    (run,) = FaithfulnessTable().runs(workspace)
    assert experiment.explained_pictures(workspace, run).tolist() == [0, 1, 2]


def test_data_sets_of_rooms_have_no_boxes_and_are_left_out(make_parts_workspace):
    datasets = {"scenes": "MIT-67", "many": "ImageNet", "fine": "Birds"}
    runs = FaithfulnessTable().runs(make_parts_workspace(datasets=datasets))
    assert [run.dataset for run in runs] == ["many", "fine"]


def store(workspace, metric: str, values: dict[str, list[float]]) -> None:
    for name, column in values.items():
        names = [f"fine/test/{index:05d}" for index in range(len(column))]
        keys = "test", "dpnet-faithfulness", "tiny", name
        workspace.store.write(batch_rows(*keys, names, {metric: column}))


def test_the_table_has_means_in_the_order_of_the_methods(make_parts_workspace):
    workspace = make_parts_workspace()
    store(workspace, "AD", {"Opti-CAM": [1.0, 3.0], EXACT: [10.0, 20.0], "Grad-CAM": [5.0, 7.0]})
    cells = FaithfulnessTable().tables(workspace)["dpnet_faithfulness"].cells
    assert cells["method"].tolist() == [EXACT, "Grad-CAM", "Opti-CAM"]
    assert cells["measured"].tolist() == [15, 6, 2] and set(cells["n"]) == {2}
    assert set(cells["verdict"]) == {"not comparable"}


@pytest.mark.parametrize(
    ("ours", "verdict"), [(100.0, "agrees"), (0.0, "contradicts"), (50.0, "inconclusive")], ids=str
)
def test_opti_cam_must_lead_in_ai_whatever_fake_cam_has(make_parts_workspace, ours, verdict):
    workspace = make_parts_workspace()
    low, high = [0.0] * 39 + [100.0], [100.0] * 40
    mixed = low[20:] + high[20:]
    rivals = {EXACT: low, DENSE: low[::-1], "Grad-CAM": mixed, "Fake-CAM": high}
    columns = {100.0: high, 0.0: low, 50.0: mixed[::-1]}
    store(workspace, "AI", {"Opti-CAM": columns[ours], **rivals})
    claims = frame(judge(Results(FaithfulnessTable().results(workspace))))
    assert claims.set_index("id").loc["opticam-on-dpnet", "verdict"] == verdict


def test_without_results_there_is_no_table_and_the_claim_is_not_run(make_parts_workspace):
    workspace = make_parts_workspace()
    assert not len(FaithfulnessTable().tables(workspace)["dpnet_faithfulness"].cells)
    claims = frame(judge(Results(FaithfulnessTable().results(workspace))))
    assert claims.set_index("id").loc["opticam-on-dpnet", "verdict"] == "not run"
