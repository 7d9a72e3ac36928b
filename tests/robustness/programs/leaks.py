"""Resident memory while pictures pass through each method, or steps through part training: python leaks.py COUNT.

Prints one JSON line each: bytes per picture (or step) with its 95 % interval.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from scipy import stats
from test_batches import METHODS, method_for

from dpnet.model.part_layer import PartClassifier

BATCH, PAGE = 8, 4096


def resident() -> int:
    """Bytes of memory that this process holds."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def growth(step: Callable[[], object], steps: int, per_step: int) -> dict[str, float]:
    """The slope, measured again up to twice while above zero: a leak goes on, memory that is kept once does not."""
    for _ in range(3):
        found = slope(step, steps, per_step)
        if found["low"] <= 0:
            break
    return found


def slope(step: Callable[[], object], steps: int, per_step: int) -> dict[str, float]:
    """Growth per picture with a 95 % interval, over the steps after the first quarter, which warm up."""
    for _ in range(steps // 4):
        step()
    gc.collect()
    gc.freeze()  # what is held by now need not be looked through after every step, which would take most of the time
    seen: list[int] = []
    for _ in range(steps):
        step()
        seen.append(resident())
    line = stats.linregress([per_step * i for i in range(len(seen))], seen)
    half = 0.0 if len(set(seen)) == 1 else stats.t.ppf(0.975, len(seen) - 2) * line.stderr
    return {"slope": line.slope, "low": line.slope - half, "high": line.slope + half}


def methods(pictures: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Every method that can run here, on batches of other pictures each time."""
    for name in METHODS:
        method = method_for(name)
        if method is not None:
            method.classifier.network.float()
            draw = lambda method=method: method(torch.rand(BATCH, 3, 32, 32), torch.arange(BATCH) % 4)  # noqa: E731
            yield name, growth(draw, pictures // BATCH, BATCH)


def training(steps: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Steps of gradient descent on a part layer with the assignment entropy."""
    model = PartClassifier(32, 6, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        output = model(torch.randn(BATCH, 32, 7, 7), with_entropy=True)
        loss = (
            torch.nn.functional.cross_entropy(output.logits, torch.arange(BATCH) % 6) + output.entropy.mean()
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    yield "part training", growth(step, steps, 1)


def main(pictures: int) -> None:
    """Everything, one line each."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for kind in (methods(pictures), training(max(8, pictures // 4))):
        for name, found in kind:
            print(json.dumps({"name": name, **found}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
