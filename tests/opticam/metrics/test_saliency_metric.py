"""The crop of the saliency metric where its box is smallest; other cases are in test_localization.py."""

import torch

from opticam.metrics import saliency_metric


def test_a_box_of_one_pixel_shows_the_classifier_its_colour_alone():
    """log 0.05, the smallest share of Dabkowski and Gal (2017), less log p of an image of that colour."""
    images, maps = torch.rand(1, 3, 6, 7), torch.zeros(1, 6, 7)
    maps[0, 4, 2] = 1
    found = saliency_metric(lambda pixels: pixels.mean((2, 3)), images, maps, torch.tensor([1]))
    expected = torch.tensor([0.05]).log() - images[:, :, 4, 2].log_softmax(1)[:, 1]
    torch.testing.assert_close(found, expected)
