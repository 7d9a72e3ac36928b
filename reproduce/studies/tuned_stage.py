"""A network whose last stage is trained on the training pictures of a data set, as a backbone for DP-Net.

    python -m reproduce.studies.tuned_stage --data DIR/birds --network efficientnet_lite0 --stage blocks.6 \\
        --output results/tuned/birds.safetensors

The stage and all behind it are trained with a new linear head and the softmax's cross entropy, as Global is; what
stands before it, and the statistics of all batch norms, stay. Test pictures take no part. The weights are then a
backbone, `reproduce run --profile folders --parts-backbone efficientnet_lite0=FILE`, whose maps Global and Parts read
alike: neither has more training than the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from dpnet.data.backbone import load_backbone
from dpnet.data.pictures import PictureSet
from dpnet.data.sources import DataSource
from opticam.data.files import save_tensors
from opticam.sample import SampleSet

BATCH, EPOCHS, RATE, DECAY = 16, 15, 1e-4, 1e-4
CACHE = Path("cache")


def with_new_head(network: nn.Module, classes: int) -> nn.Module:
    """The network with its last linear layer replaced by one for as many classes."""
    name, head = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Linear)][-1]
    network.set_submodule(name, nn.Linear(head.in_features, classes))
    return network


def parameters_from(network: nn.Module, stage: str) -> list[nn.Parameter]:
    """The parameters of a stage and of all that is registered behind it; the others need no gradient from here on.

    Raises ValueError where the network has no such stage, or nothing in it to train.
    """
    names = [name for name, _ in network.named_parameters()]
    first = next((i for i, name in enumerate(names) if name.startswith(f"{stage}.")), None)
    if first is None:
        raise ValueError(f"stage: {type(network).__name__} has no {stage!r} with parameters")
    for parameter in list(network.parameters())[:first]:
        parameter.requires_grad_(False)
    return list(network.parameters())[first:]


def tune(
    network: nn.Module,
    stage: str,
    pictures: PictureSet | SampleSet,
    mean: Tensor,
    std: Tensor,
    *,
    epochs: int = EPOCHS,
) -> list[float]:
    """Train the network in place, half of the pictures mirrored; mean cross entropy of each epoch.

    mean, std: of the pixels in [0,1], [1,3,1,1]. AdamW under a cosine, everything from seed 0.
    """
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(parameters_from(network, stage), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    network.eval()  # batch norms keep the statistics that they were trained with: a batch here is small
    losses = []
    for _ in tqdm(range(epochs), desc="epochs"):
        total = 0.0
        for images, labels in DataLoader(pictures, BATCH, shuffle=True, generator=generator):
            mirrored = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
            logits = network((torch.where(mirrored, images.flip(3), images) - mean) / std)
            loss = cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        schedule.step()
        losses.append(total / len(pictures))
    return losses


def main() -> None:
    """Tune and write the weights; the loss of each epoch on standard output."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="train/CLASS and test/CLASS, or an official layout")
    parser.add_argument(
        "--network", required=True, help="torchvision's or timm's name, or package.module:function"
    )
    parser.add_argument("--weights", help="state dictionary, head not needed; default: the library's own")
    parser.add_argument("--stage", required=True, help="name of the first module that is trained")
    parser.add_argument("--output", type=Path, required=True, help="a .safetensors file")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    pictures = DataSource(options.data, drop_shared=True).open(CACHE).train
    backbone = load_backbone(options.network, options.weights or "default")
    torch.manual_seed(0)  # of the new head
    network = with_new_head(backbone.network, len(pictures.class_names))
    losses = tune(network, options.stage, pictures, backbone.mean, backbone.std, epochs=options.epochs)
    save_tensors(options.output, network.state_dict())
    print("cross entropy by epoch:", *(f"{loss:.3f}" for loss in losses))


if __name__ == "__main__":
    main()
