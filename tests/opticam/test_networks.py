import pytest
import safetensors.torch
import torch
import torchvision

from opticam import Classifier
from opticam.networks import build_network, class_names, pixel_statistics
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


def test_timm_networks_come_with_their_own_statistics():
    network = build_network("deit_tiny_patch16_224", None, num_classes=5)
    assert network.head.out_features == 5
    assert not network.training
    mean, std = pixel_statistics("vit_base_patch16_224")
    assert mean == std == (0.5, 0.5, 0.5)


def test_class_names_are_torchvisions():
    names = class_names("resnet50")
    assert len(names) == 1000
    assert names[1] == "goldfish"
    assert class_names("deit_tiny_patch16_224") is None
