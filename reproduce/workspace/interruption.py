"""Ctrl-C and SIGTERM end with one line that says how to go on, also while the libraries are still being loaded."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable
from types import TracebackType

from opticam.cli.ending import interruption_status, raise_on_sigterm, run_to_end

MESSAGE = "\ninterrupted; nothing stored is lost, the same command goes on from here"
LAUNCHED = "REPRODUCE_LAUNCHED"  # in the environment: a process that started this one says the line for all


def say(error: BaseException) -> int:
    """Print the line, in one of several processes, and give the exit status. Loads nothing: there may be no time."""
    launched = "RANK" in os.environ and LAUNCHED in os.environ
    if os.environ.get("RANK", "0") == "0" and not launched:
        print(MESSAGE, file=sys.stderr, flush=True)
    return interruption_status(error)


def to_end(command: str, work: Callable[[], int | None]) -> int:
    """The exit status of a subcommand's work, as `run_to_end` has it; a store, too, may fail by the machine's fault."""
    return run_to_end(f"reproduce {command}", work, (OSError, sqlite3.Error), say)


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        say(error)


sys.excepthook = _excepthook
raise_on_sigterm()
