"""A stage is trained and what stands before it is not; the file that is kept is a backbone."""

import pytest
import torch
from torch import nn

from dpnet.data.backbone import load_backbone
from dpnet.data.pictures import PictureSet
from opticam.data.files import save_tensors
from reproduce.studies.tuned_stage import parameters_from, tune, with_new_head

NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 8, 5, 3), nn.Conv2d(8, 8, 3)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7))
"""


class Pictures(PictureSet):
    """Dark and light ones."""

    def __getitem__(self, index):
        label = int(self.labels[index])
        return torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(index)) / 2 + label / 2, label


PICTURES = Pictures(("",) * 12, torch.arange(12) % 2, ("dark", "light"))


@pytest.fixture
def network(tmp_path, monkeypatch):
    (tmp_path / "tuned_nets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    import tuned_nets

    return with_new_head(tuned_nets.build(), 2)


def test_only_the_stage_and_what_is_behind_it_move_and_the_loss_falls(network, tmp_path, monkeypatch):
    monkeypatch.setattr("reproduce.studies.tuned_stage.RATE", 0.02)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = torch.full((1, 3, 1, 1), 0.5)
    losses = tune(network, "2", PICTURES, pixels, pixels, epochs=12)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"2.weight", "2.bias", "6.weight", "6.bias"}
    assert losses[-1] < losses[0] / 2
    save_tensors(tmp_path / "tuned.safetensors", network.state_dict())
    backbone = load_backbone("tuned_nets:build", tmp_path / "tuned.safetensors", target_layer="3")
    images = torch.stack([PICTURES[i][0] for i in range(2)])
    expected = network[:4]((images - backbone.mean) / backbone.std)
    assert torch.allclose(backbone.features(images), expected, rtol=1e-5, atol=1e-6)


def test_a_stage_that_is_not_there_is_an_error(network):
    with pytest.raises(ValueError, match="stage: Sequential has no 'layer4' with parameters"):
        parameters_from(network, "layer4")


def test_the_new_head_has_the_width_of_the_old_one(network):
    assert (network[6].in_features, network[6].out_features) == (8, 2) and isinstance(network[6], nn.Linear)
