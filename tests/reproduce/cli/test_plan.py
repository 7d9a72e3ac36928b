"""The planned passes are those that are made, counted at the network's own hooks."""

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from opticam import METHODS, Classifier
from reproduce.__main__ import main
from reproduce.cli import plan
from reproduce.saliency.passes import OF_A_MAP, Passes, of_group, of_map
from reproduce.saliency.requests import Request

OPTIONS = {"Opti-CAM": {"iterations": 7}, "Extremal Perturbation": {"iterations": 4},
           "LIME": {"samples": 60}, "GradientSHAP": {"samples": 6}}  # fmt: skip
CHANNELS = 11


class Counted(nn.Module):
    """Counts images that pass forward, and those whose gradient comes back to the pixels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.fc = (
            nn.Conv2d(3, 6, 3, 2),
            nn.Conv2d(6, CHANNELS, 3, 2),
            nn.Linear(CHANNELS, 4),
        )
        self.forward_images = self.backward_images = 0

    def forward(self, images):
        self.forward_images += len(images)
        if images.requires_grad:
            images.register_hook(
                lambda gradient: setattr(self, "backward_images", self.backward_images + len(images))
            )
        hidden = self.last(self.first(images).relu()).relu()
        return self.fc(interpolate(hidden, 3).mean((2, 3)))


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"Raw attention", "Rollout", "TIBAV", "CAM"}))
def test_a_map_takes_the_planned_passes(name):
    network = Counted()
    classifier = Classifier(network, "last", optimize="exact")
    if not METHODS[name].applies_to(classifier):
        pytest.skip(f"{name} needs a package that is not installed here")
    method = METHODS[name](classifier, **OPTIONS.get(name, {}))
    images = torch.rand(2, 3, 32, 32)
    classifier(images)  # so that the number of classes is known
    network.forward_images = network.backward_images = 0
    method(images, [1, 2])
    planned = of_map(Request("counted", name, (), options=OPTIONS.get(name, {})), CHANNELS) * 2
    # A few passes may look at the layer or the reference picture; what is counted is the order of the work.
    assert abs(network.forward_images - planned.forward) <= 4, (network.forward_images, planned)
    assert network.backward_images == planned.backward


def test_metrics_add_their_passes_and_the_maps_that_they_make_again():
    request = Request("n", "Score-CAM", ("seconds", "faithfulness", "robustness"))
    total = sum((of_group(request, group, 10, 19) for group in request.groups), of_map(request, 10))
    assert total == Passes(11 + 1 + 12 * 11 + 14, 0)
    assert of_group(request, "causal of prediction", 10, 19) == Passes(2 * 20 + 11, 0)
    assert set(OF_A_MAP) <= {*METHODS, "Image centre"}


def test_the_plan_needs_no_pictures_and_no_weights(monkeypatch, capsys):
    monkeypatch.setattr(plan, "SECONDS", 0.1)
    words = [
        "--profile",
        "imagenet",
        "--network",
        "squeezenet1_1",
        "--only",
        "opticam-main",
        "--only",
        "opticam-causal",
    ]
    assert main(["plan", *words]) == 0
    said = capsys.readouterr().out
    lines = {line.split()[0]: line.split() for line in said.splitlines() if line.split()}
    assert lines["opticam-main"][1] == lines["opticam-causal"][1] == "50,000"
    causal, shared = (
        float(lines["opticam-causal"][2].replace(",", "")),
        said.split("all, maps shared")[1].split()[1],
    )
    assert float(shared.replace(",", "")) >= causal  # what both ask for is counted once
    assert "torchrun --nproc-per-node N -m reproduce run --profile imagenet --network squeezenet1_1" in said
    assert "--limit 1000" in said and "+-3.1 points" in said


def test_a_small_plan_is_told_in_figures_that_count(monkeypatch, capsys):
    monkeypatch.setattr(plan, "SECONDS", 0.1)
    assert main(["plan", "--limit", "2", "--only", "opticam-selectivity"]) == 0
    last = next(line for line in capsys.readouterr().out.splitlines() if "all, maps shared" in line).split()
    steps = 2 * (100 + 1 + 10)  # of Opti-CAM alone: its 100 iterations, its first pass and ten masked images
    assert int(last[4]) >= steps and int(last[5]) >= 200
    assert float(last[6]) > 0
