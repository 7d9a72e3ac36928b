"""Training in blocks: the same as in memory where one block holds everything, and within its bound where none does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dpnet import GlobalClassifier, PartClassifier, TrainingSettings, prepare, train
from dpnet.data.blocks import CHUNK, read_batches, shuffled_blocks
from dpnet.data.features import LEAST_BLOCK, FeatureCache
from dpnet.data.manifest import Manifest, write_manifest
from dpnet.model.recipes import PartRecipe
from dpnet.training.selection import FeatureSubset

PROGRAM = Path(__file__).parents[1] / "programs" / "train_in_blocks.py"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cache(folder: Path, count: int = 300, shape=(5, 3, 4), shard_size: int = 70) -> torch.Tensor:
    """Write maps of three classes as `extract_features` would; the maps."""
    labels = torch.arange(count) * 3 // count
    maps = torch.randn(count, *shape, generator=generator()) + 2 * labels[:, None, None, None]
    facts = ("net", "0", "layer", (9, 9), ((0.0,), (1.0,)), "data", "0")
    manifest = Manifest(*facts, num_images=count, dtype="float32", shard_size=shard_size)
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, manifest)
    for shard in range(manifest.num_shards):
        own = torch.tensor(manifest.shard_indices(shard))
        tensors = {"features": maps[own], "labels": labels[own]}
        save_file(tensors, folder / manifest.shard_name(shard))
    return maps


def bound(images: int, shard_size: int = 70, shape=(5, 3, 4)) -> int:
    """The bytes that allow a block of so many images."""
    return (images + shard_size) * 4 * torch.Size(shape).numel()


@pytest.mark.parametrize("size", [None, 16, 50, 299, 300, 10_000])
@pytest.mark.parametrize("processes", [1, 3])
def test_every_image_is_read_once_and_a_block_holds_no_more_than_it_may(tmp_path, size, processes):
    maps, found = cache(tmp_path), []
    features, blocks = FeatureCache(tmp_path), shuffled_blocks(300, size, 7, generator())
    for block in blocks if size else []:
        assert sum(map(len, block)) <= max(size, CHUNK) and all(len(batch) <= 7 for batch in block)
    for process in range(processes):
        for batch, share, read in read_batches(features, blocks, process, processes):
            assert torch.equal(read, maps[share]) and torch.equal(share, batch[process::processes])
            found += share.tolist()
    assert sorted(found) == list(range(300))


def test_a_block_of_pictures_that_lie_class_by_class_holds_most_classes():
    """Of 40 classes with 50 neighbours each a block of 400 images, a fifth of all, has most."""
    blocks = shuffled_blocks(2000, 400, 20, generator())
    for block in blocks:
        assert (
            len((torch.cat(block) // 50).unique()) > 15
        )  # 25 chunks of 16 in 8 neighbouring classes at worst
        # An image follows its neighbour once on average in a random order, in chunks 15 times of 16.
        assert (torch.cat(block).diff() == 1).sum() < 10
    assert len({tuple(batch.tolist()) for block in blocks for batch in block}) == 100
    again = shuffled_blocks(2000, 400, 20, generator())
    assert all(torch.equal(a, b) for one, two in zip(blocks, again) for a, b in zip(one, two))


@pytest.mark.parametrize("recipe", ["random", "class_regions", "kmeans"])
def test_one_block_that_holds_everything_trains_as_in_memory_to_the_bit(tmp_path, recipe):
    maps, settings = cache(tmp_path), TrainingSettings(epochs=3, batch_size=32, learning_rate_parts=1e-2)
    bounded, models = FeatureCache(tmp_path, memory=bound(300)), []
    for features in (maps, bounded):
        model = PartRecipe(2, initialisation=recipe).build(features, bounded.labels, 3)
        record = train(model, features, bounded.labels, settings)
        models.append(
            (model.state_dict(), [entry["cross_entropy"] for entry in record.history], record.accuracy)
        )
    (state, losses, accuracy), (other, other_losses, other_accuracy) = models
    assert bounded.block_size == 300 and accuracy == other_accuracy and losses == other_losses
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_small_blocks_learn_what_the_whole_does(tmp_path):
    """Classes that lie one after the other: read in that order alone the last class would win."""
    cache(tmp_path)
    features = FeatureCache(tmp_path, memory=bound(LEAST_BLOCK))
    model = GlobalClassifier(5, 3, x_norm="none")
    settings = TrainingSettings(epochs=20, batch_size=16, learning_rate_classifier=3e-2)
    record = train(model, features, features.labels, settings)
    assert features.block_size == LEAST_BLOCK and record.accuracy > 0.95


def test_bounded_features_are_not_prepared_in_memory(tmp_path):
    cache(tmp_path)
    features = FeatureCache(tmp_path, memory=bound(100))
    model = PartClassifier(5, 3, 2)
    assert prepare(model, features) is features
    inside = FeatureSubset(features, torch.arange(50))
    assert inside.block_size == 100 and prepare(model, inside) is inside
    with pytest.raises(ValueError, match="need at least"):
        FeatureCache(tmp_path, memory=bound(LEAST_BLOCK) - 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_a_set_larger_than_the_bound_trains_within_it(tmp_path):
    """240 MB of maps under a bound of 64 MB: the process grows by less than the bound and its small change."""
    shape, shard = (512, 8, 8), 128
    cache(tmp_path, 1830, shape, shard)
    memory = 64 * 2**20
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = [sys.executable, str(PROGRAM), str(tmp_path), str(memory)]
    done = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    size, grown = map(int, done.stdout.split())
    assert size > 3.5 * memory
    batch = 32 * 4 * torch.Size(shape).numel()
    slack = 16 * 2**20  # what the allocator keeps and the kernels work in
    assert grown < memory + 4 * batch + slack
