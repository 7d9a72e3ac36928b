"""Figures hold the pictures and the numbers that they are given."""

import numpy as np
import pytest
import torch

from opticam.plotting import COLOURS, Explained, masked_grid, overlay


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
