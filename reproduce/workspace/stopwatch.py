"""What one long call takes, the device's work included."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch

T = TypeVar("T")


class Spent(NamedTuple):
    """What one call took: seconds by the clock, and of all threads, which other work disturbs less."""

    seconds: float
    cpu_seconds: float


def stopwatch(call: Callable[[], T], device: str | torch.device) -> tuple[T, Spent]:
    """The result of one long call, which is made once only, and what it took, the device's work included."""
    _wait_for(device)
    start, start_cpu = time.perf_counter(), time.process_time()
    result = call()
    _wait_for(device)
    return result, Spent(time.perf_counter() - start, time.process_time() - start_cpu)


def _wait_for(device: str | torch.device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
