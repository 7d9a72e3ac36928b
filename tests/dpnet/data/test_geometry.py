import pytest
import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, create_pool2d
from torch import nn

from dpnet.data.geometry import EVEN_GRID, cell_grid, map_geometry, to_pixels
from dpnet.model.part_layer import PartClassifier
from dpnet.model.regions import RegionScheme
from opticam import Classifier
from opticam.networks import build_network
from opticam.sample.architectures import build_sample_network
from opticam.sample.networks import TARGET_LAYERS


def response_centres(classifier, side):
    """Where the response to a small patch lies by the grid of the cells, less where the patch is, in pixels."""
    grid = cell_grid(classifier, (side, side))
    plain = torch.full((1, 3, side, side), 0.5)
    base, offsets = classifier.features(plain), []
    for x, y in ((0.4, 0.45), (0.55, 0.4), (0.5, 0.6), (0.45, 0.55)):
        left, top = int(x * side), int(y * side)
        image = plain.clone()
        image[..., top : top + 4, left : left + 4] = torch.rand(3, 4, 4)
        energy = (classifier.features(image) - base).square().sum(dim=1)[0].double()
        energy /= energy.sum()
        cells = torch.arange(len(energy)).double()
        stride = side / len(energy)
        found = [
            (energy.sum(dim=axis) * (grid[axis, 0] + grid[axis, 1] * cells) * stride).sum() for axis in (0, 1)
        ]
        offsets.append([float(found[0]) - (left + 2), float(found[1]) - (top + 2)])
    return torch.tensor(offsets)


def middle_cell(classifier, side):
    """Rows (x, y) of where the middle cell lies by its grid, and where the pixels that it reads have their centroid.

    All weights of a convolution are the same and pixels are next to nothing, so that the network is as good as linear:
    the cell reads as much to the left as to the right of where it looks.
    """
    grid = cell_grid(classifier, (side, side))
    for module in classifier.network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    maps = []
    handle = classifier.target_layer.register_forward_hook(lambda module, inputs, output: maps.append(output))
    image = (1e-4 * torch.rand(1, 3, side, side)).requires_grad_()
    classifier.network.eval()(image)
    handle.remove()
    cells = maps[0].shape[-1]
    (gradient,) = torch.autograd.grad(maps[0][..., cells // 2, cells // 2].sum(), image)
    read, pixels = gradient.abs().sum(dim=(0, 1)).double(), torch.arange(side) + 0.5
    centroid = torch.stack([(read.sum(dim=axis) * pixels).sum() for axis in (0, 1)]) / read.sum()
    return (grid[:, 0] + grid[:, 1] * (cells // 2)) * side / cells, centroid.float()


@pytest.mark.parametrize(
    ("name", "side"),
    [("efficientnet_lite0", 640), ("efficientnet_lite0", 500), ("efficientnet_b0", 500), ("resnet50", 500)],
)
def test_a_cell_reads_the_pixels_around_where_the_grid_puts_it(name, side):
    torch.manual_seed(0)
    said, read = middle_cell(Classifier(build_network(name)), side)
    assert (said - read).abs().max() < 0.5


@pytest.mark.parametrize("side", [96, 97, 98, 99])
@pytest.mark.parametrize(
    "layer",
    [
        Conv2dSame(3, 3, 5, stride=3),
        Conv2dSame(3, 3, 3, stride=2, dilation=2),
        create_pool2d("max", 5, stride=3, padding="same"),
        create_pool2d("avg", 4, stride=4, padding="same"),
        nn.Conv2d(3, 3, 5, stride=2, padding="valid"),
        nn.AvgPool2d(3, stride=3, ceil_mode=True),
        nn.MaxPool2d([5, 5], stride=[2, 2], padding=[1, 1]),
    ],
    ids=str,
)
def test_padding_is_that_of_the_forward_pass(layer, side):
    network = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    grid = cell_grid(Classifier(network, "0"), (side, side))
    if isinstance(layer, nn.Conv2d):
        nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        nn.init.zeros_(layer.bias)
    ramp = (torch.arange(side) + 0.5).expand(1, 3, side, side)
    # The largest value in a cell's window is its right edge, the smallest its left, the mean its centre.
    centres = ((layer(ramp) - layer(-ramp)) / 2)[0, 0, layer(ramp).shape[2] // 2]
    cells = len(centres)
    said = (grid[0, 0] + grid[0, 1] * torch.arange(cells)) * side / cells
    torch.testing.assert_close(said[2:-2], centres[2:-2].detach())


@pytest.mark.parametrize(("name", "side"), [("sample_resnet", 192), ("sample_vgg", 64)])
def test_a_patch_is_seen_where_the_grid_says(name, side):
    torch.manual_seed(0)
    classifier = Classifier(build_sample_network(name).eval(), TARGET_LAYERS[name])
    assert response_centres(classifier, side).mean(dim=0).abs().max() < 1.5


def test_strided_convolutions_look_half_a_cell_left_of_an_even_grid():
    for name, image, first in (("resnet18", 224, 0.5 / 32), ("vgg11", 224, 0.5), ("vit_b_32", 224, 0.5)):
        grid = cell_grid(Classifier(build_network(name)), (image, image))
        torch.testing.assert_close(grid, torch.tensor([[first, 1.0]] * 2))


def test_rows_and_columns_have_their_own_grid():
    trunk = nn.Conv2d(3, 4, (3, 2), stride=(4, 2), padding=(1, 0))
    classifier = Classifier(nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten()), "0")
    rows, columns = 16 / 4, 32 / 16
    expected = torch.tensor([[1.0 / columns, 1.0], [0.5 / rows, 1.0]])
    torch.testing.assert_close(cell_grid(classifier, (16, 32)), expected)


@pytest.mark.parametrize("first", [0.0, 1.0])
def test_boxes_follow_the_grid_and_end_at_the_image(first):
    """Cells of 20 x 10 pixels look half a cell to the left and downwards, or to the right and upwards."""
    model = PartClassifier(4, 2, 1, scheme=RegionScheme("pyramid", (1, 2)))
    even = model.boxes((3, 4), (30, 80))
    model.grid.copy_(torch.tensor([[first, 1.0], [1 - first, 1.0]]))
    shift = torch.tensor([10.0, -5.0, 10.0, -5.0]) * (1 if first else -1)
    expected = (even + shift).clamp(min=0).minimum(torch.tensor([80.0, 30.0, 80.0, 30.0]))
    torch.testing.assert_close(model.boxes((3, 4), (30, 80)), expected)


def test_layers_behind_the_target_do_not_move_its_grid():
    """Behind it a map of 8 grows to 16 and shrinks to 8 again, by windows centred elsewhere."""
    behind = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 5, stride=2, padding=2))
    network = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), behind, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert torch.equal(cell_grid(Classifier(network, "0"), (16, 16)), torch.tensor([[0.5, 1.0]] * 2))


def test_upsampled_maps_peak_at_the_centre_of_their_cell():
    maps = torch.zeros(2, 4, 5)
    maps[0, 1, 2] = maps[1, 3, 4] = 1.0
    even = to_pixels(maps, (40, 50))
    torch.testing.assert_close(even, F.interpolate(maps[None], size=(40, 50), mode="bicubic")[0])
    grid = torch.tensor([[0.05, 1.0], EVEN_GRID[0]])
    peak = to_pixels(maps, (40, 50), grid)[0].flatten().argmax().item()
    assert (peak // 50, peak % 50) in {(14, 20), (15, 20)}


def test_the_size_of_the_maps_and_their_grid_come_from_one_pass():
    passes = []
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[0].register_forward_hook(lambda *_: passes.append(1))
    classifier = Classifier(network, "0", optimize="exact")
    size, grid = map_geometry(classifier, (21, 31))
    assert size == (10, 15) and len(passes) == 1
    assert torch.equal(grid, cell_grid(classifier, (21, 31)))
