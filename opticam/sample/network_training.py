"""Train a network on the sample data: one-cycle AdamW with flips, shifts and a little colour jitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from opticam.sample.pictures import SampleSet

SAMPLE_MEAN = (0.48, 0.48, 0.48)
SAMPLE_STD = (0.19, 0.19, 0.19)


@dataclass(frozen=True)
class TrainingSettings:
    """How a sample network is trained; ``per_class`` is the number of pictures per class, all if None."""

    epochs: int = 8
    batch_size: int = 50
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    shift: int = 4
    seed: int = 0
    per_class: int | None = None


def normalised(images: torch.Tensor, device: torch.device | str) -> torch.Tensor:
    """uint8 images [B,3,H,W] as normalised float32 on ``device``, channels last."""
    from torchvision.transforms.functional import normalize  # here: torchvision takes seconds to load

    pixels: torch.Tensor = normalize(images.to(device).float() / 255, SAMPLE_MEAN, SAMPLE_STD)
    return pixels.contiguous(memory_format=torch.channels_last)


def augment(images: torch.Tensor, shift: int, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image at random, scale its channels, move the batch by up to ``shift`` pixels."""
    batch, channels, height, width = images.shape
    mirror = torch.rand(batch, 1, 1, 1, generator=generator) < 0.5
    gain = 1 + 0.1 * torch.randn(batch, channels, 1, 1, generator=generator)
    dx, dy = torch.randint(0, 2 * shift + 1, (2,), generator=generator).tolist()
    mirrored = torch.where(mirror.to(images.device), images.flip(3), images)
    padded = F.pad(mirrored, (shift,) * 4, mode="reflect")
    return padded[:, :, dy : dy + height, dx : dx + width] * gain.to(images.device)


def _optimiser(network: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW that spares biases, norms and other vectors from weight decay."""
    vectors = [p for p in network.parameters() if p.ndim < 2]
    matrices = [p for p in network.parameters() if p.ndim >= 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def train(
    network: nn.Module, data: SampleSet, settings: TrainingSettings, progress: bool, title: str
) -> None:
    """Train ``network`` in place on its device; every random choice here follows from ``settings.seed``."""
    steps = settings.epochs * -(-len(data) // settings.batch_size)
    optimiser = _optimiser(network, settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, total_steps=steps, pct_start=0.2
    )
    generator = torch.Generator().manual_seed(settings.seed)
    device = next(network.parameters()).device
    network.to(memory_format=torch.channels_last).train()
    with tqdm(total=steps, desc=title, unit="step", disable=not progress) as bar:
        for _ in range(settings.epochs):
            for chosen in torch.randperm(len(data), generator=generator).split(settings.batch_size):
                images = augment(normalised(data.images[chosen], device), settings.shift, generator)
                labels = data.labels[chosen].to(device)
                loss = F.cross_entropy(network(images), labels)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.update()


@torch.no_grad()
def accuracy(network: nn.Module, data: SampleSet) -> float:
    """Share of pictures, in percent, whose largest logit is the labelled class."""
    network.eval()
    device = next(network.parameters()).device
    hits = 0
    for images, labels in zip(data.images.split(100), data.labels.split(100)):
        hits += int((network(normalised(images, device)).argmax(1).cpu() == labels).sum())
    return 100 * hits / len(data)
