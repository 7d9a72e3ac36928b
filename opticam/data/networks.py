"""The sample networks: trained on the sample data on first use, then read from a cache."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from opticam.data.architectures import TARGET_LAYERS, build_sample_network
from opticam.data.files import load_tensors, save_tensors
from opticam.data.network_training import SAMPLE_MEAN, SAMPLE_STD, TrainingSettings, accuracy, train
from opticam.data.sample import SPLITS, sample_fingerprint, sample_set

DEFAULT_SETTINGS = {
    "sample_resnet": TrainingSettings(epochs=5),
    "sample_vgg": TrainingSettings(epochs=10),
    "sample_vit": TrainingSettings(epochs=10),
}


@dataclass(frozen=True)
class SampleNetworkRecord:
    """What is known about a trained sample network; it is stored in the cache file beside the weights.

    accuracy: top-1 in percent on the ``pictures`` held-out pictures of "many".  target_layer: the module for
    saliency maps, named as in the paper.  mean, std: normalisation of RGB in [0, 1] that the network expects.
    fingerprint: changes with architecture, data and settings.  seconds: training time.
    """

    name: str
    target_layer: str
    accuracy: float
    pictures: int
    seconds: float
    fingerprint: str
    settings: dict[str, float | int | None] = field(default_factory=dict)
    mean: Sequence[float] = SAMPLE_MEAN
    std: Sequence[float] = SAMPLE_STD


def _fingerprint(network: nn.Module, settings: TrainingSettings) -> str:
    """Twelve hex digits of what the weights follow from: architecture, data, normalisation, settings."""
    data = [sample_fingerprint("many", split) for split in SPLITS]
    facts = [repr(network), data, SAMPLE_MEAN, SAMPLE_STD, asdict(settings)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _train_and_save(
    network: nn.Module, path: Path, facts: dict[str, str], settings: TrainingSettings, progress: bool
) -> None:
    """Train the network and write its weights and record to ``path``."""
    training, held_out = (sample_set("many", split, path.parent) for split in SPLITS)
    start = time.perf_counter()
    train(network, training, settings, progress, title=f"training {facts['name']}")
    seconds = time.perf_counter() - start
    record = SampleNetworkRecord(
        **facts,
        accuracy=accuracy(network, held_out, settings.limit),
        pictures=min(settings.limit or len(held_out), len(held_out)),
        seconds=round(seconds, 1),
        settings=asdict(settings),
    )
    save_tensors(path, network.state_dict(), {"record": json.dumps(asdict(record))})


def sample_network(
    name: str,
    cache_dir: str | Path,
    device: torch.device | str = "cpu",
    progress: bool = True,
    settings: TrainingSettings | None = None,
) -> tuple[nn.Module, SampleNetworkRecord]:
    """A sample network in eval mode on ``device`` and its record, trained first if ``cache_dir`` lacks it.

    name: "sample_resnet", "sample_vgg" or "sample_vit".  The network maps normalised float32 [B,3,64,64] to
    logits [B,20] of the variant "many"; training takes about a minute each on two CPU cores.  The weights
    follow from the seed in ``settings``, up to rounding that differs between machines and thread counts.
    A change of architecture, data or settings trains anew, beside the old file.
    Raises ``ValueError`` for an unknown name or a damaged cache file.
    """
    settings = settings or DEFAULT_SETTINGS.get(name, TrainingSettings())
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = build_sample_network(name)
        fingerprint = _fingerprint(network, settings)
        path = Path(cache_dir) / f"{name}-{fingerprint}.safetensors"
        network = network.to(device)
        if not path.is_file():
            facts = {"name": name, "target_layer": TARGET_LAYERS[name], "fingerprint": fingerprint}
            _train_and_save(network, path, facts, settings, progress)
    weights, notes = load_tensors(path)
    network.load_state_dict(weights)
    network = network.to(memory_format=torch.contiguous_format).eval()
    return network, SampleNetworkRecord(**json.loads(notes["record"]))
