import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from dpnet.data.backbone import load_backbone
from opticam import Classifier
from opticam.networks import build_network, class_names, input_size, pixel_statistics
from opticam.weights import load_weights


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_load_from_both_formats(tmp_path, suffix):
    torch.manual_seed(0)
    original = torchvision.models.squeezenet1_1(num_classes=4).eval()
    path = tmp_path / f"weights{suffix}"
    save = torch.save if suffix == ".pth" else safetensors.torch.save_file
    save(original.state_dict(), path)
    images = torch.rand(2, 3, 37, 41)
    loaded = build_network("squeezenet1_1", path, num_classes=4)
    torch.testing.assert_close(loaded(images), original(images), rtol=0, atol=0)


@pytest.mark.parametrize(("given", "asked"), [("IMAGENET1K_V1", "IMAGENET1K_V1"), ("default", "DEFAULT")])
def test_the_librarys_weights_are_asked_for_by_name(monkeypatch, given, asked):
    wanted = []

    def get_model(name, weights):
        wanted.append((name, weights))
        return torchvision.models.resnet18(num_classes=3)

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    build_network("resnet50", given)
    assert wanted == [("resnet50", asked)]


def test_a_training_checkpoints_state_dict_is_found(tmp_path):
    network = torchvision.models.squeezenet1_1(num_classes=3).eval()
    torch.save({"epoch": 4, "state_dict": network.state_dict()}, tmp_path / "checkpoint.pth")
    loaded = torchvision.models.squeezenet1_1(num_classes=3).eval()
    images = torch.rand(2, 3, 37, 41)
    assert not torch.equal(loaded(images), network(images))
    load_weights(loaded, tmp_path / "checkpoint.pth")
    assert torch.equal(loaded(images), network(images))


@pytest.mark.parametrize("name", ["squeezenet1_1", "test_resnet", "efficientnet_lite0", "torch.nn:Identity"])
@pytest.mark.parametrize("classes", [0, -1])
def test_a_network_has_a_class(name, classes):
    with pytest.raises(ValueError, match=f"num_classes: must be 1 or more, got {classes}"):
        build_network(name, num_classes=classes)


def test_weights_of_another_architecture_are_refused_with_counts(tmp_path):
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(
        ValueError, match=r"weights: .* does not fit SqueezeNet: 52 keys missing, 122 unexpected"
    ):
        build_network("squeezenet1_1", tmp_path / "resnet18.pth")


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x04cos\nsystem\n(S'true'\ntR."])
def test_files_that_hold_no_weights_are_refused(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="weights"):
        build_network("squeezenet1_1", path)


def test_missing_weights_and_unknown_names_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights: there is no file"):
        build_network("squeezenet1_1", tmp_path / "none.pth")
    with pytest.raises(ValueError, match="no classifier called 'resnet51'"):
        Classifier.from_name("resnet51", None)
    with pytest.raises(ValueError, match=r"network: Invalid pretrained tag \(foo\)"):
        build_network("resnet18.foo", None)


def test_timm_networks_come_with_their_own_statistics():
    network = build_network("deit_tiny_patch16_224", None, num_classes=5)
    assert network.head.out_features == 5
    assert not network.training
    mean, std = pixel_statistics("vit_base_patch16_224")
    assert mean == std == (0.5, 0.5, 0.5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_a_file_of_the_librarys_weights_gives_the_librarys_network(tmp_path, monkeypatch, name):
    """torchvision has these two transform their input where it loads the weights itself."""
    state = torchvision.models.get_model(name, weights=None, init_weights=False).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    kind = torchvision.models.get_model_weights(name)
    monkeypatch.setattr(kind, "get_state_dict", lambda self, *arguments, **options: state)
    images = torch.rand(1, 3, 96, 96)
    expected = build_network(name, "default")(images)
    for found in (
        build_network(name, tmp_path / "weights.pth"),
        load_backbone(name, tmp_path / "weights.pth").network,
    ):
        torch.testing.assert_close(found(images), expected, rtol=0, atol=0)
    assert not build_network(name, None).transform_input  # random weights were trained with nothing


def test_the_librarys_statistics_are_asked_for_only_where_one_is_missing(monkeypatch):
    own = timm.create_model("test_resnet")
    monkeypatch.setattr("opticam.networks._timm_network", lambda *arguments: own)
    given = {"mean": np.array([0.1, 0.2, 0.3]), "std": (0.5, 0.5, 0.5)}
    classifier = Classifier.from_name("a_timm_network_of_mine", None, **given)
    assert classifier.mean.flatten().tolist() == pytest.approx(given["mean"])
    with pytest.raises(ValueError, match="timm states no mean and std for 'a_timm_network_of_mine'"):
        Classifier.from_name("a_timm_network_of_mine", None, mean=given["mean"])


@pytest.mark.parametrize(
    ("library", "name", "size", "of_a_users"),
    [
        (timm.create_model, "vit_tiny_patch16_384", 384, 384),
        (timm.create_model, "test_efficientnet", 160, 160),
        (torchvision.models.get_model, "vit_b_32", 224, 224),
        (
            torchvision.models.get_model,
            "efficientnet_v2_s",
            384,
            224,
        ),  # the weights state it, the network does not
    ],
)
def test_the_size_is_what_network_or_library_state(library, name, size, of_a_users):
    with torch.device("meta"):
        network = library(name)
    assert input_size(name, network) == size
    wrapped = torch.nn.Sequential(torch.nn.Identity(), network)
    assert input_size("my.module:function", wrapped) == of_a_users


def test_class_names_are_torchvisions():
    names = class_names("resnet50")
    assert len(names) == 1000
    assert names[1] == "goldfish"
    assert class_names("deit_tiny_patch16_224") is None
