"""The sample networks: shapes, target layers, training and cache."""

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.models import VisionTransformer
from torchvision.models.resnet import ResNet
from torchvision.models.vgg import VGG

from opticam.sample import SAMPLE_NETWORKS, networks, sample_network, sample_set
from opticam.sample.architectures import build_sample_network
from opticam.sample.network_training import (
    SAMPLE_MEAN,
    SAMPLE_STD,
    TrainingSettings,
    accuracy,
    augment,
    normalised,
    train,
)

TINY = TrainingSettings(epochs=1, batch_size=20, per_class=2)
FAMILIES = {"sample_resnet": ResNet, "sample_vgg": VGG, "sample_vit": VisionTransformer}
FEATURES = {"sample_resnet": (2, 512, 8, 8), "sample_vgg": (2, 128, 8, 8), "sample_vit": (2, 65, 96)}


def forbid_training(monkeypatch):
    monkeypatch.setattr("opticam.sample.networks.train", lambda *_, **__: pytest.fail("trained again"))


@pytest.mark.parametrize("name", SAMPLE_NETWORKS)
def test_family_logits_and_feature_maps(name):
    network, seen = build_sample_network(name).eval(), []
    network.get_submodule(networks.TARGET_LAYERS[name]).register_forward_hook(
        lambda *args: seen.append(args[2].shape)
    )
    assert isinstance(network, FAMILIES[name])
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 20)
    assert seen == [FEATURES[name]]


def test_target_layers_are_the_papers():
    resnet, vgg, vit = (build_sample_network(name) for name in SAMPLE_NETWORKS)
    assert resnet.get_submodule(networks.TARGET_LAYERS["sample_resnet"]) is resnet.layer4[-1]
    assert vgg.get_submodule(networks.TARGET_LAYERS["sample_vgg"]) is vgg.features[-2]
    assert isinstance(vgg.features[-2], torch.nn.ReLU) and isinstance(vgg.features[-1], torch.nn.MaxPool2d)
    assert vit.get_submodule(networks.TARGET_LAYERS["sample_vit"]) is vit.encoder.layers[-1].ln_1


@pytest.mark.parametrize("name", SAMPLE_NETWORKS)
def test_the_projects_weights_score_what_their_card_says(name):
    network, record = sample_network(name)
    held_out = sample_set("many", "test")
    measured = accuracy(network, held_out)
    assert record.pictures == len(held_out) == 800
    # Another processor may round two close logits the other way: two pictures of 800.
    assert abs(measured - record.accuracy) <= 0.25
    assert sample_network(name)[1] == record


def test_weights_with_a_wrong_digest_are_refused(tmp_path, monkeypatch):
    for file in networks.WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    damaged = tmp_path / "sample_vit.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setattr(networks, "WEIGHTS", tmp_path)
    sample_network("sample_vgg")
    with pytest.raises(
        ValueError, match=r"sample_vit\.safetensors: its SHA-256 is .* expected .* train-sample"
    ):
        sample_network("sample_vit")


def test_training_needs_a_folder():
    with pytest.raises(ValueError, match="cache_dir"):
        sample_network("sample_vgg", settings=TINY)


@pytest.mark.parametrize("name", SAMPLE_NETWORKS)
def test_trained_once_then_read(name, tmp_path, monkeypatch):
    trained, first = sample_network(name, tmp_path, progress=False, settings=TINY)
    forbid_training(monkeypatch)
    read, second = sample_network(name, tmp_path, progress=False, settings=TINY)
    images = torch.rand(3, 3, 64, 64)
    assert not trained.training and not read.training
    assert torch.equal(trained(images), read(images))
    assert first == second
    assert first.target_layer == networks.TARGET_LAYERS[name] and first.pictures == 40
    assert accuracy(read, sample_set("many", "test", per_class=2)) == first.accuracy


def test_changed_settings_train_anew_and_the_seed_decides(tmp_path):
    first, record = sample_network("sample_vgg", tmp_path / "a", progress=False, settings=TINY)
    again, _ = sample_network("sample_vgg", tmp_path / "b", progress=False, settings=TINY)
    reseeded = TrainingSettings(epochs=1, batch_size=20, per_class=2, seed=1)
    other, changed = sample_network("sample_vgg", tmp_path / "a", progress=False, settings=reseeded)
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(first(images), again(images), atol=1e-4)
    assert not torch.allclose(first(images), other(images), atol=1e-2)
    assert record.fingerprint != changed.fingerprint
    assert len(list((tmp_path / "a").glob("sample_vgg-*.safetensors"))) == 2


def test_interrupted_training_leaves_no_network(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("opticam.sample.networks.train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample_network("sample_vit", tmp_path, progress=False, settings=TINY)
    assert list(tmp_path.glob("sample_vit*")) == []


def test_callers_random_numbers_are_left_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sample_network("sample_vgg", tmp_path, progress=False, settings=TINY)
    assert torch.equal(torch.rand(3), expected)


def test_training_learns_what_it_is_shown():
    data = sample_set("many", "train", per_class=2)
    torch.manual_seed(0)
    network = build_sample_network("sample_vgg")
    train(network, data, TrainingSettings(epochs=30, batch_size=20), progress=False, title="training")
    assert accuracy(network, data) > 60  # chance is 5


def test_accuracy_counts_hits():
    data = sample_set("many", "test", per_class=1)

    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = torch.nn.Parameter(torch.eye(20)[7])

        def forward(self, images):
            return self.bias.expand(len(images), -1)

    assert accuracy(Constant(), data) == pytest.approx(5.0)


def test_normalised_pictures_have_about_mean_zero_and_deviation_one():
    images = sample_set("many", "train", per_class=10).images
    raw = images.float() / 255
    expected = (raw - torch.tensor(SAMPLE_MEAN).view(3, 1, 1)) / torch.tensor(SAMPLE_STD).view(3, 1, 1)
    result = normalised(images, "cpu")
    assert torch.allclose(result, expected, atol=1e-6)
    assert result.mean((0, 2, 3)).abs().max() < 0.15
    assert (result.std((0, 2, 3)) - 1).abs().max() < 0.15


def test_augmentation_without_shift_only_mirrors_and_scales():
    images = torch.rand(11, 3, 9, 9)
    result = augment(images, 0, torch.Generator().manual_seed(0))
    mirrored = 0
    for image, changed in zip(images, result, strict=True):
        straight, flipped = changed / image, changed / image.flip(2)
        mirrored += bool(flipped.std((1, 2)).max() < 1e-5)
        assert min(straight.std((1, 2)).max(), flipped.std((1, 2)).max()) < 1e-5
    assert 0 < mirrored < 11


def test_sample_set_feeds_a_data_loader():
    images, labels = next(iter(DataLoader(sample_set("scenes", "test", per_class=1), batch_size=7)))
    assert images.shape == (7, 3, 64, 64) and labels.tolist() == list(range(7))


def test_unknown_network_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match="name='resnet50' is not one of sample_resnet, sample_vgg, sample_vit"
    ):
        sample_network("resnet50", tmp_path)
