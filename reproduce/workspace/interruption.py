"""Ctrl-C ends with one line that says how to go on, also while the libraries are still being loaded."""

from __future__ import annotations

import os
import sys
from types import TracebackType

MESSAGE = "\ninterrupted; nothing stored is lost, the same command goes on from here"
STATUS = 130


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    elif os.environ.get("RANK", "0") == "0":  # of several processes one speaks; `is_first` would load PyTorch
        print(MESSAGE, file=sys.stderr)


sys.excepthook = _excepthook
