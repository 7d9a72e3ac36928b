"""Table A.13 takes the layers of a network's own trunk, from the last on."""

from types import SimpleNamespace

import pytest
import torch
import torchvision
from timm import create_model

from opticam import Classifier
from reproduce.experiments.opticam.layers import layer_places

NETWORKS = {
    "torchvision": torchvision.models.squeezenet1_1,
    "timm": lambda: create_model("tf_efficientnet_lite0"),
    "no trunk": torchvision.models.resnet18,
}


def places(name, comparable=False):
    network = NETWORKS[name]().eval()
    given = SimpleNamespace(
        classifier=lambda _: SimpleNamespace(network=network),
        saliency=SimpleNamespace(comparable=comparable),
    )
    return network, layer_places(given, name)


@pytest.mark.parametrize(("name", "trunk", "count"), [("torchvision", "features", 9), ("timm", "blocks", 7)])
def test_each_layer_of_the_trunk_has_maps(name, trunk, count):
    network, found = places(name)
    assert [where for where, _ in found] == [trunk] * count
    assert [place for _, place in found] == sorted({place for _, place in found}, reverse=True)
    images, sides = torch.rand(1, 3, 64, 64), []
    for where, place in found:
        maps = Classifier(network, f"{where}.{place}").features(images)
        assert maps.dim() == 4
        sides.append(maps.shape[-1])
    assert sides == sorted(sides) and sides[0] < sides[-1]  # earlier layers are finer


def test_a_network_without_a_trunk_has_no_lines():
    assert places("no trunk")[1] == []


def test_the_paper_s_network_has_the_paper_s_layers():
    assert places("torchvision", comparable=True)[1][0] == ("features", 42)
