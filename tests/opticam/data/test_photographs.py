"""Photographs of installed packages: found by name, explained by a command, and predicted as they are filed."""

import numpy as np
import pytest
import torch
from PIL import Image

from opticam import Classifier
from opticam.__main__ import main
from opticam.data.photo import photo_frame, read_photo
from opticam.data.photographs import PHOTOGRAPHS, Photograph, sample_photograph
from opticam.networks import class_names


def test_every_photograph_is_a_picture_with_credit_and_licence():
    for name, photograph in PHOTOGRAPHS.items():
        assert read_photo(f"sample:{name}").shape == (3, 224, 224)
        assert photograph.credit and photograph.licence


def test_the_filed_class_is_the_one_that_the_network_predicts():
    images = torch.stack([read_photo(photograph.path) for photograph in PHOTOGRAPHS.values()])
    predicted = Classifier.from_name("efficientnet_lite0")(images).argmax(1)
    assert predicted.tolist() == [photograph.class_id for photograph in PHOTOGRAPHS.values()]


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("width, height", [(300, 500), (481, 240)])
def test_the_frame_is_what_the_picture_shows(tmp_path, width, height, resize):
    """A photograph whose colour says where a pixel is: red runs from left to right, green from top to bottom."""
    ramps = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    pixels = np.stack([*ramps, np.zeros((height, width))], axis=2)
    Image.fromarray(pixels.round().astype(np.uint8)).save(tmp_path / "ramp.png")
    shown = read_photo(tmp_path / "ramp.png", 64, resize)
    x1, y1, x2, y2 = photo_frame(tmp_path / "ramp.png", 64, resize)
    for colour, side, first, last in ((0, width, x1, x2), (1, height, y1, y2)):
        line = shown[colour, 32] if colour == 0 else shown[colour, :, 32]
        middle = (torch.tensor([20, 40]) + 0.5) / 64 * (last - first) + first  # of two of its pixels
        torch.testing.assert_close(line[[20, 40]] * (side - 1) + 0.5, middle, rtol=0, atol=side / 255)


def test_unknown_names_and_absent_packages_are_told():
    with pytest.raises(ValueError, match="no photograph 'sample:dog'; accepted: sample:chelsea, "):
        sample_photograph("sample:dog")
    with pytest.raises(ValueError, match="photo: there is no photograph"):
        read_photo("sample:dog")
    with pytest.raises(FileNotFoundError, match=r"there is no x\.png: install no_such_package"):
        Photograph("no_such_package", "x.png", "", "", 0).path  # noqa: B018


def test_the_first_command_of_the_readme(tmp_path, capsys):
    output = tmp_path / "explained.png"
    arguments = ["explain", "sample:chelsea", "--network", "efficientnet_lite0", "--iterations", "2"]
    assert main([*arguments, "-o", str(output)]) == 0
    printed = capsys.readouterr().out
    assert class_names("efficientnet_lite0")[PHOTOGRAPHS["chelsea"].class_id] in printed
    assert output.stat().st_size > 10_000
