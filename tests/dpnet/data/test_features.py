import dataclasses
import shutil

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import TensorDataset

from dpnet.data.features import FeatureCache, extract_features, extract_layers
from dpnet.data.manifest import describe, read_manifest, short_hash, weights_hash
from dpnet.data.sources import BackboneSource, DataSource, open_features
from dpnet.model.part_layer import PartClassifier
from dpnet.training.loop import train
from dpnet.training.settings import TrainingSettings
from opticam.classifier import Classifier
from opticam.data.files import load_tensors, save_tensors


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 6, 3, stride=4), nn.ReLU())
    return Classifier(nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten()), "0")


@pytest.fixture
def dataset():
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.rand(11, 3, 21, 29, generator=generator), torch.arange(11) % 3)


def manifest_of(classifier, **changes):
    arguments = {"network": "tiny", "image_size": (21, 29), "dataset": "noise", "dataset_hash": "0"}
    arguments |= {"num_images": 11, "dtype": "float32", "shard_size": 4} | changes
    return describe(classifier, **arguments)


def test_labels_that_were_corrected_since_the_extraction_are_read(tmp_path, classifier):
    """The lists of CUB-200-2011 name pictures and classes apart: their content stays, and so do the maps."""
    names = ("1.Owl/a.png", "1.Owl/b.png", "2.Gull/c.png", "2.Gull/d.png")
    for shade, name in enumerate(names):
        path = tmp_path / "data/images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), (60 * shade, 0, 0)).save(path)
    lists = {"images": names, "train_test_split": "1010", "classes": ("Owl", "Gull")}
    labels = {"image_class_labels": "1122"}

    def opened():
        for name, values in (lists | labels).items():
            lines = "".join(f"{number} {value}\n" for number, value in enumerate(values, 1))
            (tmp_path / f"data/{name}.txt").write_text(lines)
        data = DataSource(str(tmp_path / "data"), size=29).open(tmp_path)
        return open_features(classifier, BackboneSource("tiny"), data, tmp_path / "cache")

    assert [cache.labels.tolist() for cache in opened()] == [[0, 1], [0, 1]]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cache/*/*")}
    labels["image_class_labels"] = "2211"
    assert [cache.labels.tolist() for cache in opened()] == [[1, 0], [1, 0]]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("cache/*/*")} == before


def test_processes_that_read_the_pictures_change_nothing(tmp_path, classifier, dataset):
    alone, shared = (
        extract_features(
            classifier, dataset, tmp_path / str(n), manifest_of(classifier), batch_size=2, workers=n
        )
        for n in (0, 2)
    )
    indices = torch.arange(11)
    assert torch.equal(alone[indices], shared[indices]) and torch.equal(alone.labels, shared.labels)


def test_a_negative_number_of_processes_is_refused_by_an_empty_and_by_a_filled_cache(
    tmp_path, classifier, dataset
):
    for _ in range(2):
        with pytest.raises(ValueError, match="workers is -1"):
            extract_features(classifier, dataset, tmp_path, manifest_of(classifier), workers=-1)
        extract_features(classifier, dataset, tmp_path, manifest_of(classifier))


def test_the_cache_holds_what_the_backbone_gives(tmp_path, classifier, dataset):
    cache = extract_features(classifier, dataset, tmp_path, manifest_of(classifier), batch_size=3)
    images, labels = dataset.tensors
    indices = torch.tensor([10, 0, 5, 5, 3])
    torch.testing.assert_close(cache[indices], classifier.features(images[indices]))
    assert torch.equal(cache.labels, labels)
    assert len(cache) == 11 and cache.shape == (11, 6, 5, 7)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_layers_of_one_pass_are_those_of_a_pass_each(tmp_path, classifier, dataset):
    passes = []
    classifier.network.register_forward_hook(lambda *_: passes.append(1))
    classifiers = {name: Classifier(classifier.network, name, optimize="exact") for name in ("0.0", "0.1")}
    folders = {tmp_path / name: manifest_of(one) for name, one in classifiers.items()}
    extract_layers(next(iter(classifiers.values())), dataset, folders, batch_size=4)
    assert len(passes) == 3
    for name, one in classifiers.items():
        images, labels = dataset.tensors
        cache = FeatureCache(tmp_path / name, manifest_of(one))
        torch.testing.assert_close(cache[torch.arange(11)], one.features(images))
        assert torch.equal(cache.labels, labels)


def test_layers_cut_into_other_shards_are_refused(tmp_path, classifier, dataset):
    folders = {tmp_path / str(size): manifest_of(classifier, shard_size=size) for size in (4, 5)}
    with pytest.raises(ValueError, match=r"shard sizes: \[\(11, 4\), \(11, 5\)\]"):
        extract_layers(classifier, dataset, folders)
    assert not list(tmp_path.iterdir())


def test_bfloat16_maps_are_the_rounded_ones(tmp_path, classifier, dataset):
    cache = extract_features(classifier, dataset, tmp_path, manifest_of(classifier, dtype="bfloat16"))
    maps = cache[torch.arange(11)]
    assert maps.dtype == torch.bfloat16
    torch.testing.assert_close(maps, classifier.features(dataset.tensors[0]).bfloat16())


def test_an_interrupted_extraction_goes_on_and_leaves_no_partial_files(tmp_path, classifier, dataset):
    class Failing(TensorDataset):
        def __getitem__(self, index):
            if index == 6:
                raise OSError("the disk went away")
            return super().__getitem__(index)

    manifest = manifest_of(classifier)
    with pytest.raises(OSError, match="went away"):
        extract_features(classifier, Failing(*dataset.tensors), tmp_path, manifest)
    first = next(tmp_path.glob("*.safetensors"))
    written = first.stat().st_mtime_ns
    with pytest.raises(FileNotFoundError, match="run the extraction again"):
        FeatureCache(tmp_path)
    cache = extract_features(classifier, dataset, tmp_path, manifest)
    assert len(cache) == 11 and first.stat().st_mtime_ns == written
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    "changes",
    [{"dtype": "bfloat16"}, {"image_size": (21, 21)}, {"dataset_hash": "1"}, {"network": "other"}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_cache_of_something_else_is_refused(tmp_path, classifier, dataset, changes):
    extract_features(classifier, dataset, tmp_path, manifest_of(classifier))
    with pytest.raises(ValueError, match=f"made with {next(iter(changes))}"):
        extract_features(classifier, dataset, tmp_path, manifest_of(classifier, **changes))


def test_other_weights_pixel_statistics_and_layers_are_refused(tmp_path, classifier, dataset):
    manifest = manifest_of(classifier)
    extract_features(classifier, dataset, tmp_path, manifest)
    other_layer = Classifier(classifier.network, "0.0")
    with pytest.raises(ValueError, match="made with layer '0'"):
        FeatureCache(tmp_path, manifest_of(other_layer))
    for pixels in ({"mean": (0.5, 0.4, 0.4)}, {"std": (0.2, 0.2, 0.3)}):
        with pytest.raises(ValueError, match="made with pixel_statistics"):
            FeatureCache(tmp_path, manifest_of(Classifier(classifier.network, "0", **pixels)))
    with torch.no_grad():
        classifier.network[0][0].weight[0, 0, 0, 0] += 1e-6
    with pytest.raises(ValueError, match="made with weights_hash"):
        FeatureCache(tmp_path, manifest_of(classifier))


def test_the_same_numbers_under_other_names_are_other_weights():
    one, other = nn.Module(), nn.Module()
    one.first = other.second = nn.Parameter(torch.ones(3))
    assert weights_hash(one) != weights_hash(other)


def test_a_sample_network_is_read_at_the_layer_asked_for(tmp_path):
    asked = BackboneSource("sample_resnet", target_layer="layer1").open(tmp_path)
    usual = BackboneSource("sample_resnet").open(tmp_path)
    assert asked.target_layer is asked.network.get_submodule("layer1")
    assert usual.target_layer is not usual.network.get_submodule("layer1")


def test_another_release_of_torch_is_recorded_but_not_refused(tmp_path, classifier, dataset):
    manifest = manifest_of(classifier)
    extract_features(classifier, dataset, tmp_path, manifest)
    FeatureCache(tmp_path, dataclasses.replace(manifest, versions={"torch": "1.0"}))
    assert read_manifest(tmp_path).versions["torch"] == torch.__version__


def test_a_folder_without_a_readable_manifest_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*manifest\.json"):
        FeatureCache(tmp_path)
    for content in (b'{"network": "tiny"}', b"\xff\xfe", b"null", b"[]", b""):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"manifest\.json cannot be read: "):
            FeatureCache(tmp_path)


def test_training_reads_the_cache_like_a_tensor(tmp_path, classifier, dataset):
    cache = extract_features(classifier, dataset, tmp_path, manifest_of(classifier))
    results = []
    for features in (cache, cache[torch.arange(11)]):
        torch.manual_seed(0)
        model = PartClassifier(6, 3, parts_per_class=2)
        train(model, features, cache.labels, TrainingSettings(epochs=2, batch_size=4))
        results.append(model.parts.detach())
    assert torch.equal(*results)


@pytest.mark.parametrize("memory", [None, 2**30])
def test_a_bit_that_changed_on_disk_is_found(tmp_path, classifier, dataset, memory):
    """Wherever it is: in the values, in what says how they lie, and in the checksum."""
    manifest = manifest_of(classifier, shard_size=6)
    extract_features(classifier, dataset, tmp_path, manifest)
    shard = tmp_path / manifest.shard_name(1)
    content = shard.read_bytes()
    values = content.index(b"}}") + 2
    name = range(content.index(b'{"__meta'), content.index(b":", content.index(b"crc32")))
    places = sorted({*range(values), *range(values, len(content), 29), len(content) - 1} - {*name})
    for place in places:  # all but the words that say that there is a checksum
        shard.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        with pytest.raises(ValueError, match=rf"{shard.name} is damaged \(.*; delete it"):
            extract_features(classifier, dataset, tmp_path, manifest, memory=memory)
    shard.unlink()
    cache = extract_features(classifier, dataset, tmp_path, manifest, memory=memory)
    torch.testing.assert_close(cache[torch.arange(11)], classifier.features(dataset.tensors[0]))


def test_a_shard_without_a_checksum_of_an_older_release_is_read(tmp_path, classifier, dataset):
    cache = extract_features(classifier, dataset, tmp_path / "new", manifest_of(classifier))
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    for path in (tmp_path / "old").glob("*.safetensors"):
        tensors, notes = load_tensors(path)
        assert len(notes["crc32"]) == 8
        save_tensors(path, tensors)
    older = FeatureCache(tmp_path / "old", manifest_of(classifier))
    assert torch.equal(older[torch.arange(11)], cache[torch.arange(11)])


def test_the_name_of_the_data_set_is_not_compared_but_split_and_resize_are(tmp_path, classifier, dataset):
    named = {"split": "train", "resize": "squash"}
    manifest = manifest_of(classifier, dataset="birds", **named)
    extract_features(classifier, dataset, tmp_path, manifest)
    renamed = manifest_of(classifier, dataset="my birds", **named)
    assert len(FeatureCache(tmp_path, renamed)) == 11 and short_hash(renamed) == short_hash(manifest)
    for change in ({"split": "test"}, {"resize": "crop"}):
        (name,) = change
        with pytest.raises(ValueError, match=f"made with {name} "):
            FeatureCache(tmp_path, manifest_of(classifier, **{**named, **change}))
