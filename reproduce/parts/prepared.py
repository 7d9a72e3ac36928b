"""What part models make of feature maps before their first parameter, made once for all seeds and constraints."""

from __future__ import annotations

from typing import Any

import torch

from dpnet import GlobalClassifier, prepare
from dpnet.data.blocks import Features
from dpnet.model.part_layer import Model
from reproduce.parts.data import layer_features
from reproduce.workspace.workspace import Workspace


def prepared(
    workspace: Workspace,
    place: tuple[str, str, str],
    split: str,
    model: Model,
    dtype: torch.dtype | None = None,
) -> Features:
    """What `dpnet.prepare` makes of a split's feature maps for a model, of each split the last kept in memory.

    place: data set, backbone and layer. dtype: as `dpnet.prepare` takes it.
    """
    how = model.x_norm if isinstance(model, GlobalClassifier) else model.scheme
    key = workspace, place, how, dtype, model.centre.cpu().numpy().tobytes()
    if split not in _kept or _kept[split][0] != key:
        _kept.pop(split, None)  # first: two of them may be more than the memory holds
        maps, _ = layer_features(workspace, *place, split)
        _kept[split] = key, prepare(model, maps, dtype=dtype)
    return _kept[split][1]


_kept: dict[str, tuple[tuple[Any, ...], Features]] = {}
