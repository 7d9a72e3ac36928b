"""Figures hold the pictures and the numbers that they are given."""

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from opticam.plotting import (
    COLOURS,
    Explained,
    explanation_figure,
    map_grid,
    masked_grid,
    overlay,
    write_figure,
)


def test_an_overlay_mixes_grey_and_the_map_s_colour():
    image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    plain = overlay(image, torch.zeros(4, 5), opacity=0)
    np.testing.assert_allclose(plain, image.mean(0)[..., None].expand(-1, -1, 3), rtol=1e-6)
    coloured = overlay(image, torch.ones(4, 5), opacity=1)
    from matplotlib import colormaps

    np.testing.assert_allclose(coloured, np.broadcast_to(colormaps[COLOURS](1.0)[:3], (4, 5, 3)))
    with pytest.raises(ValueError, match=r"saliency_map: expected \(4, 5\), got shape \(5, 4\)"):
        overlay(image, torch.ones(5, 4))


def test_a_masked_grid_shows_map_and_masked_image_with_the_probability_that_is_left():
    images = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    halved = Explained(torch.full((8, 9), 0.5), 0.25)
    figure = masked_grid(images, ["cat", "dog"], {"Opti-CAM": [halved, None]})
    axes = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title() for axis in axes[0]] == ["cat", "Opti-CAM", "masked, p = 0.25"]
    assert [axis.get_title() for axis in axes[1]] == ["dog", "", ""]
    (shown,) = axes[0, 2].get_images()
    np.testing.assert_allclose(shown.get_array(), 0.5 * images[0].permute(1, 2, 0), rtol=1e-6)
    assert not axes[1, 1].get_images() and not axes[1, 2].get_images()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("graph", [False, True])
def test_every_figure_takes_any_dtype_and_what_is_part_of_a_graph(dtype, graph):
    image = torch.linspace(0, 1, 3 * 6 * 7).reshape(3, 6, 7).to(dtype).requires_grad_(graph)
    saliency_map = torch.full((6, 7), 0.5, dtype=dtype).requires_grad_(graph)
    figures = [
        (explanation_figure(image, saliency_map, ""), 0, 2),
        (map_grid(image[None], {"A": saliency_map[None]}, [""]), 0, None),
        (masked_grid(image[None], [""], {"A": [Explained(saliency_map, 0.5)]}), 0, 2),
    ]
    pixels = image.detach().double().permute(1, 2, 0).numpy()
    for figure, plain, masked in figures:
        np.testing.assert_allclose(figure.axes[plain].get_images()[0].get_array(), pixels)
        if masked is not None:
            shown = figure.axes[masked].get_images()[0].get_array()
            np.testing.assert_allclose(shown, pixels / 2, atol=float(torch.finfo(dtype).eps))


@pytest.mark.parametrize("suffix", ["png", "PNG", "pdf", "svg"])
def test_a_figure_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, suffix):
    path, figure = tmp_path / f"a.{suffix}", Figure(figsize=(1, 1))
    write_figure(figure, path, dpi=50)
    if suffix.lower() == "png":
        assert Image.open(path).size == (50, 50)
    before = path.read_bytes()

    def full(self, file, **options):
        file.write_bytes(before[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(OSError, match="No space left"):
        write_figure(figure, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
