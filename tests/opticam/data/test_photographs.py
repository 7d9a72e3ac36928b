"""Photographs of installed packages: found by name, explained by a command, and predicted as they are filed."""

import pytest
import torch

from opticam import Classifier
from opticam.__main__ import main
from opticam.data.photo import read_photo
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
