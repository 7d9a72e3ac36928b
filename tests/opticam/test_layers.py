import pytest
import timm
import torch
import torchvision
from torch import nn

from opticam import Classifier
from opticam.layers import default_layer, find_layer
from opticam.vit.tokens import patch_grid, prefix_tokens, tokens_to_map

on_meta = torch.device("meta")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("resnet50", "layer4.2"),
        ("vgg16_bn", "features.42"),
        ("vgg16", "features.29"),
        ("vit_b_16", "encoder.layers.encoder_layer_11.ln_1"),
        ("squeezenet1_1", "features.12"),
        ("mobilenet_v2", "features.18"),
        ("densenet121", "features.norm5"),
    ],
)
def test_default_layers_of_the_papers_families(name, layer):
    with on_meta:
        network = torchvision.models.get_model(name)
    assert default_layer(network) is network.get_submodule(layer)


def test_default_layer_of_vgg16_bn_is_the_papers_relu():
    with on_meta:
        network = torchvision.models.vgg16_bn()
    assert isinstance(default_layer(network), nn.ReLU)
    assert isinstance(network.features[43], nn.MaxPool2d)


def test_default_layer_of_a_vgg_without_max_pooling_is_the_last_of_its_trunk():
    with on_meta:
        network = torchvision.models.vgg11()
    network.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    assert default_layer(network) is network.features[1]


@pytest.mark.parametrize(
    "name", ["vit_base_patch16_224", "deit_base_patch16_224", "deit_tiny_distilled_patch16_224"]
)
def test_default_layer_of_timm_transformers(name):
    with on_meta:
        network = timm.create_model(name)
    assert default_layer(network) is network.blocks[-1].norm1


def test_default_layer_of_another_network_is_its_last_convolution():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.Flatten(), nn.Linear(5, 2))
    assert default_layer(network) is network[1]
    with pytest.raises(ValueError, match="target_layer: no default for Sequential"):
        default_layer(network[2:])


class Named(nn.Module):
    """Somebody's network, one of whose attributes is called as those of a known family."""

    def __init__(self, **named):
        super().__init__()
        self.stem, self.top, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)
        for name, value in named.items():
            setattr(self, name, value)

    def forward(self, images):
        return self.fc(self.top(self.stem(images).relu()).mean((2, 3)))


@pytest.mark.parametrize(
    "named",
    [
        {"blocks": 4},
        {"blocks": nn.ModuleList()},
        {"blocks": nn.ModuleDict({"a": nn.Identity()})},
        {"blocks": nn.Identity()},
        {"layer4": nn.Sequential()},
        {"layer4": nn.Sequential(nn.ReLU()), "layer5": nn.Sequential(nn.ReLU())},
    ],
    ids=lambda named: " ".join(f"{name}={type(value).__name__}" for name, value in named.items()),
)
def test_a_name_alone_makes_no_family(named):
    network = Named(**named)
    assert default_layer(network) is network.top


@pytest.mark.parametrize("name", ["features.3", "features[3]"])
def test_layers_are_found_by_dotted_or_indexed_name(name):
    with on_meta:
        network = torchvision.models.squeezenet1_1()
    assert find_layer(network, name) is network.features[3]


@pytest.mark.parametrize(
    ("network", "layer", "error"),
    [("squeezenet1_1", "layer4", ValueError), ("squeezenet1_1", ["features"], TypeError)],
)
def test_unknown_layers_are_refused(network, layer, error):
    with on_meta:
        network = torchvision.models.get_model(network)
    with pytest.raises(error, match="target_layer"):
        find_layer(network, layer)


class Tokens(nn.Module):
    """Stands for a transformer with `prefix` extra tokens."""

    def __init__(self, prefix=1, patch_size=None):
        super().__init__()
        self.num_prefix_tokens = prefix
        if patch_size is not None:
            self.patch_size = patch_size


@pytest.mark.parametrize("prefix", [0, 1, 2, 5])
@pytest.mark.parametrize(("size", "grid"), [((35, 56), (5, 8)), ((48, 32), (6, 4))])
def test_tokens_are_laid_row_by_row_after_the_prefix(prefix, size, grid):
    rows, columns = grid
    patches = torch.arange(rows * columns, dtype=torch.float32).reshape(1, -1, 1) + torch.tensor([0.0, 100.0])
    tokens = torch.cat([torch.full((1, prefix, 2), -1.0), patches], 1)
    maps = tokens_to_map(tokens, Tokens(prefix), size)
    assert maps.shape == (1, 2, rows, columns)
    for row in range(rows):
        for column in range(columns):
            assert maps[0, :, row, column].tolist() == [row * columns + column, 100 + row * columns + column]


def test_patch_grid_follows_the_networks_patch_size_where_it_has_one():
    # 24 patches of an image of 48x32 could be 6x4 by the aspect ratio; patches of 16x4 pixels make 3x8.
    assert patch_grid(Tokens(patch_size=(16, 4)), 24, (48, 32)) == (3, 8)
    with pytest.raises(ValueError, match="7 patch tokens form no grid"):
        patch_grid(Tokens(), 7, (32, 32))


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("deit_tiny_patch16_224", 1), ("deit_tiny_distilled_patch16_224", 2), ("vit_tiny_patch16_224", 1)],
)
def test_timm_transformers_give_maps_of_their_patches(name, prefix):
    torch.manual_seed(0)
    network = timm.create_model(name, img_size=(48, 64), depth=2).eval()
    features = Classifier(network).features(torch.rand(2, 3, 48, 64))
    assert prefix_tokens(network) == prefix
    assert features.shape == (2, 192, 3, 4)


def test_torchvision_transformer_gives_the_maps_of_its_patches():
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(35, 5, 2, 2, 8, 12).eval()
    recorded = []
    network.encoder.layers[-1].ln_1.register_forward_hook(
        lambda module, inputs, output: recorded.append(output)
    )
    images = torch.rand(2, 3, 35, 35)
    features = Classifier(network, mean=(0,) * 3, std=(1,) * 3).features(images)
    network(images)
    torch.testing.assert_close(features, recorded[-1][:, 1:].transpose(1, 2).reshape(2, 8, 7, 7))
