"""The sample networks: files of the project, so that every machine explains the same ones; or trained anew."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from opticam.data.files import load_tensors, save_tensors
from opticam.sample.network_training import SAMPLE_MEAN, SAMPLE_STD, TrainingSettings, accuracy, train
from opticam.sample.pictures import SPLITS, sample_fingerprint, sample_set

WEIGHTS = Path(__file__).with_name("weights")
CARD = "card.json"
TARGET_LAYERS = {
    "sample_resnet": "layer4.1",
    "sample_vgg": "features.20",
    "sample_vit": "encoder.layers.encoder_layer_3.ln_1",
}
SAMPLE_NETWORKS = tuple(TARGET_LAYERS)
DEFAULT_SETTINGS = {
    "sample_resnet": TrainingSettings(epochs=4),
    "sample_vgg": TrainingSettings(epochs=8),
    "sample_vit": TrainingSettings(epochs=10, batch_size=25, learning_rate=1.5e-3),
}


@dataclass(frozen=True)
class SampleNetworkRecord:
    """What is known about a trained sample network.

    accuracy: top-1 in percent on the ``pictures`` held-out pictures of "many".  target_layer: the module for
    saliency maps, chosen as in the paper.  mean, std: normalisation of RGB in [0, 1] before the network.
    fingerprint: changes with the weights, or, of a network trained anew, with what they follow from.
    seconds: time the training took.
    """

    name: str
    target_layer: str
    fingerprint: str
    settings: TrainingSettings
    accuracy: float
    pictures: int
    seconds: float
    mean: tuple[float, float, float] = SAMPLE_MEAN
    std: tuple[float, float, float] = SAMPLE_STD


def _fingerprint(network: nn.Module, settings: TrainingSettings) -> str:
    """Twelve hex digits of what the weights follow from: architecture, data, normalisation, settings."""
    data = [sample_fingerprint("many", split, settings.per_class) for split in SPLITS]
    facts = [repr(network), data, SAMPLE_MEAN, SAMPLE_STD, asdict(settings)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def _train_and_save(
    network: nn.Module, path: Path, settings: TrainingSettings, progress: bool, title: str
) -> None:
    """Train the network; write its weights and, as notes, the settings and what was measured to ``path``."""
    training, held_out = (
        sample_set("many", split, path.parent, per_class=settings.per_class) for split in SPLITS
    )
    start = time.perf_counter()
    train(network, training, settings, progress, title)
    measured = {
        "seconds": round(time.perf_counter() - start, 1),
        "accuracy": accuracy(network, held_out),
        "pictures": len(held_out),
    }
    notes = {"settings": json.dumps(asdict(settings)), "measured": json.dumps(measured)}
    save_tensors(path, network.state_dict(), notes)


def sample_network(
    name: str,
    cache_dir: str | Path | None = None,
    device: torch.device | str = "cpu",
    progress: bool = True,
    settings: TrainingSettings | None = None,
) -> tuple[nn.Module, SampleNetworkRecord]:
    """A sample network in eval mode on ``device`` and its record.

    name: "sample_resnet", "sample_vgg" or "sample_vit".  The network maps normalised float32 [B,3,64,64] to
    logits [B,20] of the variant "many".  Without ``settings`` the weights are the project's own, kept in half
    precision.  With ``settings`` the network is trained, or read from ``cache_dir`` where it was before; a
    change of architecture, data or settings trains anew, beside the old file.
    Raises ``ValueError`` for an unknown name, for a damaged file, and for training without a ``cache_dir``.
    """
    if settings is None:
        return _fixed_network(name, device)
    if cache_dir is None:
        raise ValueError("cache_dir: a network is trained into a folder; none was given")
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = _build(name)
        fingerprint = _fingerprint(network, settings)
        path = Path(cache_dir) / f"{name}-{fingerprint}.safetensors"
        network = network.to(device)
        if not path.is_file():
            _train_and_save(network, path, settings, progress, f"training {name}")
    weights, notes = load_tensors(path)
    network.load_state_dict(weights)
    network = network.to(memory_format=torch.contiguous_format).eval()
    measured = json.loads(notes["measured"])
    return network, SampleNetworkRecord(name, TARGET_LAYERS[name], fingerprint, settings, **measured)


def _build(name: str) -> nn.Module:
    from opticam.sample.architectures import build_sample_network  # loads torchvision, which takes seconds

    return build_sample_network(name)


def _fixed_network(name: str, device: torch.device | str) -> tuple[nn.Module, SampleNetworkRecord]:
    """The network whose weights are a file of the project, and what its card says."""
    with torch.random.fork_rng():
        network = _build(name)
    facts = json.loads((WEIGHTS / CARD).read_text(encoding="utf-8"))["networks"][name]
    path = WEIGHTS / f"{name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != facts["sha256"]:
        raise ValueError(
            f"{path.name}: its SHA-256 is {digest[:12]}..., expected {facts['sha256'][:12]}...; restore the file, "
            "or train the network anew with `python -m reproduce train-sample`"
        )
    network.load_state_dict(load_tensors(path)[0])
    settings = TrainingSettings(**facts["settings"])
    measured = {key: facts[key] for key in ("accuracy", "pictures", "seconds")}
    record = SampleNetworkRecord(name, TARGET_LAYERS[name], digest[:12], settings, **measured)
    return network.to(device).eval(), record
