"""The steps of CONTRIBUTING.md, taken: one toy method, metric, network and kernel backend each."""

import re
from pathlib import Path

import pytest
import torch
from evaluating import evaluate

from dpnet.similarity import backends, part_similarity
from opticam import METHODS, Classifier, GradCAM
from opticam.masking import step_masks
from opticam.masking.ops import IMPLEMENTATIONS
from reproduce.saliency.metric_groups import GROUPS
from reproduce.saliency.requests import Request
from reproduce.saliency.stored import EXPERIMENT
from reproduce.tables.metric_names import METRICS

ROOT = Path(__file__).parents[3]
IMAGES = torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def steps():
    """What the document's code defines; the registries are as before afterwards."""
    registries = METHODS, METRICS, GROUPS, backends.IMPLEMENTATIONS
    before = [dict(registry) for registry in registries]
    defined = {"__name__": "contributing"}
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    for block in blocks:
        exec(block, defined)
    yield defined
    defined["backend"]._destroy()
    for registry, content in zip(registries, before):
        registry.clear()
        registry.update(content)


def test_the_method_is_a_method(steps):
    classifier = steps["classifier"].in_float64()
    method = METHODS["Positive Grad-CAM"](classifier)
    images = IMAGES.double()
    maps = method(images, 3)
    assert maps.shape == (2, 20, 24) and maps.min() >= 0 and maps.max() <= 1
    with torch.no_grad():
        classifier.network[4].weight.abs_()  # gradients that are positive anyway: then it is Grad-CAM
    torch.testing.assert_close(method(images, 3), GradCAM(classifier)(images, 3))


def test_the_metric_is_stored(steps, make_workspace):
    workspace = make_workspace()
    evaluate(workspace, [Request("tiny", "Fake-CAM", ("area",))])
    values = workspace.store.frame("test", EXPERIMENT, metric="area")["value"]
    pixels = 17 * 19
    assert len(values) == 7
    assert values.to_numpy() == pytest.approx(100 * (pixels - 1) / pixels)  # all ones but one corner


def test_the_network_is_explained_at_its_layer(steps):
    classifier = steps["classifier"]
    assert isinstance(classifier, Classifier) and classifier.target_layer is steps["network"][1]
    assert classifier.features(IMAGES).shape == (2, 8, 20, 24)


def test_the_masking_backend_runs_and_agrees(steps, monkeypatch):
    calls, plain = [], IMPLEMENTATIONS["step_masks"]
    monkeypatch.setitem(IMPLEMENTATIONS, "step_masks", lambda *given: calls.append(given) or plain(*given))
    ranks = torch.randint(0, 480, (2, 20, 24), generator=torch.Generator().manual_seed(1))
    steps_at = torch.tensor([0, 100, 480])
    masked = step_masks(ranks, IMAGES, torch.zeros(1), steps_at)
    assert len(calls) == 1
    kept = ranks[:, None, None] < steps_at[:, None, None, None]
    assert torch.equal(masked, torch.where(kept, IMAGES[:, None], 0.0))


def test_the_similarity_backend_is_found_by_name(steps):
    parts, regions = torch.randn(7, 5).double(), torch.randn(2, 9, 5).double()
    ours, eager = (part_similarity(parts, regions, 0.1, backend=name) for name in ("mine", "eager"))
    torch.testing.assert_close(ours, eager)
    with pytest.raises(ValueError, match="mine"):
        part_similarity(parts, regions, backend="yours")
