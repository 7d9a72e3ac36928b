"""Make the regions of frozen features once, before training, instead of in every step."""

from __future__ import annotations

import torch

from dpnet.blocks import Features, block_size, in_order
from dpnet.model import GlobalClassifier, PartClassifier


@torch.no_grad()
def prepare(
    model: PartClassifier | GlobalClassifier, features: Features, *, batch_size: int = 256
) -> Features:
    """What the model makes of feature maps [N,d,h,w] before its first parameter, in the maps' dtype, on the CPU.

    Regions [N,R,d] for a part model, descriptors [N,d] for the baseline. The model takes them in place of the
    maps, in training and after it, and gives the same logits; its centre must not change in between. They
    stay in memory: with one region a cell as much as the maps, with windows of all sizes a multiple. Features with
    a bound on memory come back as they are.
    """
    if block_size(features) is not None:
        return features
    make = model.regions if isinstance(model, PartClassifier) else model.pooled
    batches = in_order(features, batch_size)
    return torch.cat([make(features[batch].to(model.centre.device)).cpu() for batch in batches])
