"""`python -m opticam explain`: the picture is written, the printed probabilities are the network's."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from opticam import Classifier, GradCAM
from opticam.__main__ import main
from opticam.data.photo import read_photo
from opticam.networks import build_network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    pixels = np.random.default_rng(0).integers(0, 256, (150, 201, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    torch.manual_seed(0)
    torch.save(build_network("squeezenet1_1", num_classes=5).state_dict(), folder / "weights.pth")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    (folder / "names.txt").write_text("ant\nbee\ncat\ndog\neel\n")
    (folder / "marked.txt").write_bytes(
        b"\xef\xbb\xbfant\r\nbee\r\ncat\r\ndog\r\neel\r\n\r\n"
    )  # as Windows saves it
    (folder / "twice.txt").write_text("ant\ncat\nbee\ndog\ncat\n")
    (folder / "four.txt").write_text("ant\nbee\ncat\ndog\n")
    (folder / "latin.txt").write_bytes("fourmi\nabeille\nchat\nchien\ngu\xeape\n".encode("latin-1"))
    return folder


def explain(files, *arguments, photo="photo.png", output="out.png"):
    return main(
        [
            *("explain", str(files / photo), "--network", "squeezenet1_1", "-o", str(files / output)),
            *(
                "--weights",
                str(files / "weights.pth"),
                "--num-classes",
                "5",
                "--size",
                "96",
                "--device",
                "cpu",
            ),
            *arguments,
        ]
    )


def test_prints_the_probabilities_of_the_network(files, capsys):
    names = ["--class-names", str(files / "names.txt"), "--class", "cat", "--method", "grad-cam"]
    assert explain(files, *names) == 0
    printed = capsys.readouterr().out
    assert "2 (cat)" in printed
    classifier = Classifier.from_name("squeezenet1_1", files / "weights.pth", num_classes=5)
    image = read_photo(files / "photo.png", 96)[None]
    maps = GradCAM(classifier)(image, 2)
    with torch.no_grad():
        expected = [classifier(x).softmax(1)[0, 2].item() for x in (image, image * maps)]
    found = [float(value) for value in re.findall(r"probability +([0-9.]+)", printed)]
    assert found == pytest.approx(expected, abs=1e-4)
    assert Image.open(files / "out.png").size[0] > 300


def test_a_byte_order_mark_is_no_part_of_the_first_name(files, capsys):
    names = ["--class-names", str(files / "marked.txt"), "--class", "ant", "--method", "grad-cam"]
    assert explain(files, *names) == 0
    assert "0 (ant)" in capsys.readouterr().out


def test_opti_cam_raises_the_masked_probability(files, capsys):
    assert explain(files, "--class", "1", "--iterations", "0") == 0
    start = float(re.search(r"masked probability +([0-9.]+)", capsys.readouterr().out)[1])
    assert explain(files, "--class", "1", "--iterations", "15") == 0
    end = float(re.search(r"masked probability +([0-9.]+)", capsys.readouterr().out)[1])
    assert end > start


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {"photo": "missing.jpg"}, "photo: there is no file"),
        ([], {"photo": "broken.jpg"}, "is not a readable picture"),
        ([], {"output": "no/folder/out.png"}, "output:"),
        (["--class", "zebra"], {}, "class: 'zebra' is no class"),
        (["--class", "7"], {}, "class: '7' is no class"),
        (
            ["--class-names", "twice.txt", "--class", "Cat"],
            {},
            "class: 'Cat' names 2 classes of this network; give the id: 1 and 4",
        ),
        (["--class", "²"], {}, "class: '²' is no class"),
        (["--mean", "0,nan,0"], {}, "mean: must be finite"),
        (["--std", "1,inf,1"], {}, "std: must be positive and finite"),
        (["--std", "1,0,1"], {}, "std: must be positive and finite"),
        (["--layer", "layer9"], {}, "target_layer: SqueezeNet has no layer 'layer9'"),
        (["--network", "resnet18"], {}, "does not fit ResNet"),
        (["--network", "nonet"], {}, "network: torchvision has no classifier called 'nonet'"),
        (["--weights", "absent.pth"], {}, "weights: there is no file"),
        (["--method", "grad-cam", "--iterations", "3"], {}, "iterations: Grad-CAM has none"),
        *(
            (["--pixel-range", value], {}, f"pixel-range: must be positive and finite, got {float(value)}")
            for value in ("0", "nan", "inf")
        ),
        ([], {"output": "out"}, "output:"),
        ([], {"output": "out.xyz"}, "accepted: .avif, "),
        (["--network", "resnet18.foo"], {}, "network: Invalid pretrained tag (foo)"),
        (
            ["--class-names", "four.txt"],
            {},
            "class-names: expected 5 lines, one per output of the network, got 4",
        ),
        (["--class-names", "latin.txt"], {}, "class-names: "),
        (["--class-names", "absent.txt"], {}, "class-names: there is no file"),
        (["--size", "8"], {}, "size: SqueezeNet takes no picture of 8 x 8 pixels here"),
    ],
)
def test_user_errors_are_one_line_before_any_map_is_made(
    files, capsys, monkeypatch, arguments, options, message
):
    monkeypatch.chdir(files)
    monkeypatch.setattr("opticam.saliency.base.SaliencyMethod.__call__", lambda *arguments: pytest.fail())
    assert explain(files, *arguments, **options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("photo", ["missing.jpg", "broken.jpg"])
def test_the_photo_is_looked_at_before_a_network_is_built(files, monkeypatch, photo):
    monkeypatch.setattr(Classifier, "from_name", lambda *arguments, **options: pytest.fail())
    assert explain(files, photo=photo) == 2


@pytest.mark.parametrize("option", ["--size", "--num-classes"])
@pytest.mark.parametrize("value", ["0", "-2", "x", "²"])
def test_numbers_below_one_are_told_with_their_option(files, capsys, option, value):
    with pytest.raises(SystemExit) as ended:
        explain(files, f"{option}={value}")
    assert ended.value.code == 2
    expected = f"argument {option}: expected a whole number of at least 1, got {value!r}"
    assert expected in capsys.readouterr().err


def test_the_size_is_that_of_the_network(files, capsys, monkeypatch):
    (files / "my_transformers.py").write_text(
        "import timm\n"
        "def small(): return timm.create_model('vit_tiny_patch16_224', img_size=96, depth=1, num_classes=3)\n"
    )
    monkeypatch.syspath_prepend(files)
    given = ["explain", str(files / "photo.png"), "--network", "my_transformers:small", "--device", "cpu"]
    given += ["--method", "grad-cam", "-o", str(files / "out.png")]
    assert main(given) == 0
    assert main([*given, "--size", "224"]) == 2
    assert "size: VisionTransformer takes no picture of 224 x 224 pixels" in capsys.readouterr().err


def test_weights_that_are_no_state_dictionary(files, capsys):
    torch.save([1, 2], files / "list.pth")
    assert explain(files, "--weights", str(files / "list.pth")) == 2
    assert "holds no state dictionary" in capsys.readouterr().err
    (files / "text.pth").write_text("hello")
    assert explain(files, "--weights", str(files / "text.pth")) == 2
    assert "weights:" in capsys.readouterr().err


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_photo_is_square_and_in_range(files, resize):
    photo = read_photo(files / "photo.png", 64, resize)
    assert photo.shape == (3, 64, 64)
    assert 0 <= photo.min() < photo.max() <= 1


def test_squash_keeps_the_borders_that_crop_cuts(tmp_path):
    pixels = np.zeros((60, 120, 3), dtype=np.uint8)
    pixels[:, :20] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert read_photo(tmp_path / "wide.png", 32, "squash")[:, 16, 0].min() > 0.9
    assert read_photo(tmp_path / "wide.png", 32, "crop").max() < 0.1
