"""The implementations that the similarity benchmark compares: ours, PyTorch in several forms, and peers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch.nn.functional import normalize

from dpnet.similarity import part_similarity
from dpnet.similarity.backends import IMPLEMENTATIONS, ON_GPU

Result = tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
Rival = Callable[[torch.Tensor, torch.Tensor, float | None], Result]


def eager(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None, *, reduce: str, parts_last: bool
) -> Result:
    """Scores, argmax and entropy in plain PyTorch; S is [B, P, R], or [B, R, P] where `parts_last`."""
    unit = normalize(parts, dim=1).to(regions.dtype)
    product = regions @ unit.T if parts_last else unit @ regions.mT
    over_regions, over_parts = (1, 2) if parts_last else (2, 1)
    if reduce == "max":
        scores, argmax = product.max(dim=over_regions)
    else:
        scores, argmax = product.amax(dim=over_regions), None
    if temperature is None:
        return scores, argmax, None
    log_share = (product.float() / temperature).log_softmax(dim=over_parts)
    return scores, argmax, -(log_share.exp() * log_share).sum(dim=over_parts)


def rivals(device: str, dtype: torch.dtype, compiled: bool) -> dict[str, Rival]:
    """Name to implementation, of those that take such regions. Those with scores are differentiable in the parts."""
    names = ["auto", "chunked"]
    if device == "cuda":  # what "auto" chooses from
        names += ["eager", *(name for name in ON_GPU if not IMPLEMENTATIONS[name].obstacle("cuda", dtype))]
    ours = {f"ours ({name})": name for name in names}
    found: dict[str, Rival] = {
        "eager max": partial(eager, reduce="max", parts_last=False),
        "eager amax": partial(eager, reduce="amax", parts_last=False),
        "eager max, parts last": partial(eager, reduce="max", parts_last=True),
        "eager amax, parts last": partial(eager, reduce="amax", parts_last=True),
    }
    if compiled:
        found["torch.compile max"] = torch.compile(found["eager max"], dynamic=False)
        found["torch.compile amax, parts last"] = torch.compile(
            found["eager amax, parts last"], dynamic=False
        )
    for name, backend in ours.items():
        found[name] = partial(part_similarity, backend=backend)
    peer = flash_kmeans if device == "cuda" else faiss_search
    if (device == "cuda" or dtype == torch.float32) and _installed(peer):
        found[peer.__name__.replace("_", " ")] = peer
    return found


def flash_kmeans(parts: torch.Tensor, regions: torch.Tensor, temperature: float | None) -> Result:
    """The peer for CUDA: flash-kmeans' fused nearest centroid by cosine. Argmax only, forward only."""
    unit = normalize(parts, dim=1).to(regions.dtype).expand(len(regions), -1, -1)
    return None, _module("flash_kmeans.assign_euclid_triton").cosine_assign_triton(unit, regions), None


def faiss_search(parts: torch.Tensor, regions: torch.Tensor, temperature: float | None) -> Result:
    """The peer for the CPU: exact search by inner product in each image with faiss. Forward only."""
    faiss = _module("faiss")
    unit = normalize(parts.detach(), dim=1).numpy()
    found = [faiss.knn(unit, image.numpy(), 1, metric=faiss.METRIC_INNER_PRODUCT) for image in regions]
    scores, argmax = (torch.stack([torch.from_numpy(part[i][:, 0]) for part in found]) for i in (0, 1))
    return scores, argmax, None


FORWARD_ONLY = {"flash kmeans", "faiss search"}
NEEDS: dict[Rival, str] = {flash_kmeans: "flash_kmeans.assign_euclid_triton", faiss_search: "faiss"}


@cache
def _module(name: str) -> Any:
    import importlib

    return importlib.import_module(name)


def _installed(peer: Rival) -> bool:
    try:
        _module(NEEDS[peer])
    except ImportError:
        return False
    return True
