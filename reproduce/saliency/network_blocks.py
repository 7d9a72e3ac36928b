"""The last blocks of a network, for the sanity check by randomisation."""

from __future__ import annotations

from torch import nn


def last_blocks(network: nn.Module, count: int) -> list[str]:
    """Names of the last `count` blocks with parameters, from the output down.

    Blocks are the network's children, as they are defined; where there are fewer than `count`, children are
    replaced by their own children. A ResNet gives fc, layer4, layer3, layer2, layer1. Raises ValueError where
    the network has fewer modules with parameters than `count`.
    """
    blocks = _children(network, "")
    while len(blocks) < count:
        finer = [inner for name, block in blocks for inner in _children(block, f"{name}.") or [(name, block)]]
        if len(finer) == len(blocks) and [name for name, _ in finer] == [name for name, _ in blocks]:
            raise ValueError(f"count: {type(network).__name__} has only {len(blocks)} blocks, not {count}")
        blocks = finer
    return [name for name, _ in reversed(blocks[-count:])]


def _children(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    """Children with parameters, by their full name."""
    return [
        (prefix + name, child)
        for name, child in module.named_children()
        if any(True for _ in child.parameters())
    ]
