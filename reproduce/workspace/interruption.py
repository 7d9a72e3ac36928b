"""Ctrl-C ends with one line that says how to go on, also while the libraries are still being loaded."""

from __future__ import annotations

import sys
from types import TracebackType

MESSAGE = "\ninterrupted; nothing stored is lost, the same command goes on from here"
STATUS = 130


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(MESSAGE, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook
