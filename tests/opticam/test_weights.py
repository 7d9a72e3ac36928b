"""One loader: names that differ in spelling only are taken, with a word about it; anything else is refused."""

import contextlib
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision.models import squeezenet1_1

from dpnet.data.backbone import load_backbone
from opticam import Classifier
from opticam.data.imagenet import ImageNetSet
from opticam.networks import build_network, pixel_statistics
from opticam.weights import load_weights

DATA = Path(os.environ.get("OPTICAM_DATA", "absent"))


@pytest.fixture(scope="module")
def original():
    torch.manual_seed(1)
    return squeezenet1_1(num_classes=3).eval()


def fresh():
    torch.manual_seed(2)
    return squeezenet1_1(num_classes=3).eval()


def assert_loaded(path, original):
    network = fresh()
    load_weights(network, path)
    images = torch.rand(1, 3, 40, 40)
    assert torch.equal(network(images), original(images))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "state_dict_ema", "ema"])
def test_a_checkpoints_wrapper_is_opened(tmp_path, original, key):
    torch.save({"epoch": 3, key: original.state_dict()}, tmp_path / "a.pth")
    assert_loaded(tmp_path / "a.pth", original)


@pytest.mark.filterwarnings("error")
def test_a_wrapper_that_leads_to_no_state_is_passed_over(tmp_path, original):
    """As of an exponential average that keeps a list."""
    average = {"decay": 0.999, "shadow_params": [torch.zeros(1)]}
    torch.save({"model": original.state_dict(), "ema": average}, tmp_path / "a.pth")
    assert_loaded(tmp_path / "a.pth", original)


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path):
    checkpoint = {"epoch": 3}
    checkpoint["model"] = checkpoint
    torch.save(checkpoint, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"weights: .* cannot be read"):
        load_weights(fresh(), tmp_path / "a.pth")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_counters_of_batch_norms_may_be_missing(tmp_path, prefix):
    """Files from before PyTorch 0.4.1 have none, and `load_state_dict` takes them."""
    original, other = (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval() for _ in range(2))
    original[1].running_mean.uniform_()
    state = {prefix + name: v for name, v in original.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "a.pth")
    with pytest.warns(UserWarning) if prefix else contextlib.nullcontext():
        load_weights(other, tmp_path / "a.pth")
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(other(images), original(images))
    assert other[1].num_batches_tracked == 0


def test_averaged_weights_go_before_plain_ones(tmp_path, original):
    torch.save(
        {"state_dict": fresh().state_dict(), "state_dict_ema": original.state_dict()}, tmp_path / "a.pth"
    )
    assert_loaded(tmp_path / "a.pth", original)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.module.", "backbone."])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_prefix_is_left_out_and_told(tmp_path, original, prefix, suffix):
    state = {prefix + name: value for name, value in original.state_dict().items()}
    path = tmp_path / f"a.{suffix}"
    (torch.save if suffix == "pth" else safetensors.torch.save_file)(state, path)
    with pytest.warns(UserWarning, match="without a prefix"):
        assert_loaded(path, original)


def test_other_names_in_equal_order_are_taken_and_told(tmp_path, original):
    state = {f"w{place:03d}": value for place, value in enumerate(original.state_dict().values())}
    torch.save(state, tmp_path / "a.pth")
    with pytest.warns(UserWarning, match="equal shapes in equal order"):
        assert_loaded(tmp_path / "a.pth", original)


def test_other_names_without_an_order_are_refused(tmp_path, original):
    """safetensors sorts tensors of one shape by name: 10 goes before 2."""
    state = {f"w{place}": value for place, value in enumerate(original.state_dict().values())}
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(
        ValueError, match=r"other names than the network, as 'w0', and a \.safetensors file keeps no"
    ):
        load_weights(fresh(), tmp_path / "a.safetensors")
    del state["w0"]
    safetensors.torch.save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="does not fit SqueezeNet: 52 keys missing, 51 unexpected"):
        load_weights(fresh(), tmp_path / "a.safetensors")


def test_other_names_in_another_order_are_refused(tmp_path, original):
    state = {f"w{place:03d}": value for place, value in enumerate(reversed(original.state_dict().values()))}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match="does not fit SqueezeNet: 52 keys missing, 52 unexpected"):
        load_weights(fresh(), tmp_path / "a.pth")


def test_a_backbone_takes_the_same_files(tmp_path, original):
    state = {
        f"module.{name}": value for name, value in original.state_dict().items() if "classifier" not in name
    }
    torch.save({"model": state}, tmp_path / "a.pth")
    with pytest.warns(UserWarning, match="without a prefix"):
        backbone = load_backbone("squeezenet1_1", tmp_path / "a.pth")
    images = torch.rand(1, 3, 40, 40)
    expected = Classifier(
        original, mean=backbone.mean.flatten().tolist(), std=backbone.std.flatten().tolist()
    )
    torch.testing.assert_close(backbone.features(images), expected.features(images))


def test_efficientnet_lite0_is_here_without_a_download():
    classifier = Classifier.from_name("efficientnet_lite0")
    assert classifier(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    mean, std = pixel_statistics("efficientnet_lite0")
    assert [(255 * m, 255 * s) for m, s in zip(mean, std)] == [(127, 128)] * 3
    assert not torch.equal(
        build_network("efficientnet_lite0", None).conv_stem.weight, classifier.network.conv_stem.weight
    )


@pytest.mark.skipif(not DATA.is_dir(), reason="OPTICAM_DATA names no folder of real pictures")
def test_efficientnet_lite0_knows_real_pictures():
    """82 of the first 100 pictures in another program, which resizes them otherwise: so about 41 of 50."""
    folder = DATA / "imagenet_val"
    pictures = ImageNetSet(folder, folder / "labels.csv", transform="squash224", limit=50)
    classifier = Classifier.from_name("efficientnet_lite0")
    images = torch.stack([pictures[index][0] for index in range(50)])
    with torch.no_grad():
        found = torch.cat([classifier(batch).argmax(1) for batch in images.split(25)])
    spread = (50 * 0.82 * 0.18) ** 0.5
    assert int((found == pictures.labels).sum()) >= 41 - 2 * spread


def test_a_users_function_gives_the_network(tmp_path, monkeypatch, original):
    (tmp_path / "mymodels.py").write_text(
        "from torchvision.models import squeezenet1_1\n"
        "def build(num_classes=3): return squeezenet1_1(num_classes=num_classes)\n"
        "number = lambda: 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    torch.save(original.state_dict(), tmp_path / "a.pth")
    network = build_network("mymodels:build", tmp_path / "a.pth")
    images = torch.rand(1, 3, 40, 40)
    assert torch.equal(network(images), original(images))
    assert Classifier.from_name("mymodels:build", num_classes=5)(images).shape == (1, 5)
    for name, error in (
        ("mymodels:none", ValueError),
        ("nowhere:build", ValueError),
        ("mymodels:number", TypeError),
    ):
        with pytest.raises(error, match="network: "):
            build_network(name)
    backbone = load_backbone("mymodels:build", tmp_path / "a.pth")
    assert torch.equal(backbone.exact()(images), Classifier(original, optimize="exact")(images))
