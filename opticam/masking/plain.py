"""What the short ways past PyTorch's dispatcher share: which tensors they take, and what they remember of shapes."""

from __future__ import annotations

from threading import Lock
from typing import Any

import torch
from torch import Tensor

PLAIN = (Tensor, torch.nn.Parameter)


def is_plain(*tensors: Any) -> bool:
    """Whether these are plain tensors that nothing traces, batches or fakes."""
    if torch.compiler.is_compiling():
        return False
    for tensor in tensors:
        if type(tensor) not in PLAIN:
            return False
    if torch._C._len_torch_dispatch_stack():
        return False
    return torch._C._functorch.maybe_current_level() is None


class Memory(dict[tuple[object, ...], bool]):
    """Answers kept for facts about arguments, the last `KEPT` of them; threads may add at once."""

    KEPT = 1024

    def __init__(self) -> None:
        super().__init__()
        self._adding = Lock()

    def remember(self, facts: tuple[object, ...], answer: bool) -> bool:
        """Keep an answer, and return it; the oldest go first."""
        with self._adding:
            while len(self) >= self.KEPT:
                del self[next(iter(self))]
            self[facts] = answer
        return answer
