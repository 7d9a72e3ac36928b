"""How a command ends: one line on stderr where it could not finish, and the exit status that says why."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

FAILED, BAD_INPUT, INTERRUPTED, TERMINATED = 1, 2, 130, 143
_INPUT_ERRORS = (
    ValueError,
    TypeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


class Terminated(KeyboardInterrupt):
    """SIGTERM as an exception: files are closed and locks given back, as on Ctrl-C."""


def raise_on_sigterm() -> None:
    """Have SIGTERM raise `Terminated` in the main thread; for programs, not for libraries."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def interruption_status(error: BaseException) -> int:
    """128 and the signal's number, as shells count."""
    return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


def interrupted(command: str) -> Callable[[KeyboardInterrupt], int]:
    """What says on stderr that a signal ended a command, and gives its status."""

    def say(error: KeyboardInterrupt) -> int:
        print(f"\n{command}: interrupted; what was written before is kept", file=sys.stderr, flush=True)
        return interruption_status(error)

    return say


@contextmanager
def while_loading(say: Callable[[KeyboardInterrupt], int]) -> Iterator[None]:
    """Have SIGINT and SIGTERM end the process at once: libraries that are being loaded may swallow an exception.

    say: as `interrupted` gives it. A signal that is ignored stays ignored. There must be nothing to tidy up yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _keeping_what_is_loaded(), _ended_by_signals(say):
        yield


@contextmanager
def _keeping_what_is_loaded() -> Iterator[None]:
    """What is made inside lives as long as the process; to search it for garbage costs a second, and one at the end."""
    if gc.get_freeze_count() or not gc.isenabled():  # once a process
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _ended_by_signals(say: Callable[[KeyboardInterrupt], int]) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        os._exit(say(Terminated() if number == signal.SIGTERM else KeyboardInterrupt()))

    signals = [s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN]
    before = {number: signal.signal(number, end) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_to_end(
    command: str,
    work: Callable[[], int | None],
    machine_errors: tuple[type[Exception], ...] = (OSError,),
    say: Callable[[KeyboardInterrupt], int] | None = None,
) -> int:
    """The exit status of `work`: its own, 2 for bad input, 1 where the machine refuses (a full disk), 130, 143.

    command: what the line on stderr starts with. machine_errors: exceptions that are the machine's. say: says in
    its own words that a signal came, and gives the status. Any other exception is a fault of ours and keeps
    its traceback.
    """
    try:
        return work() or 0
    except _INPUT_ERRORS as error:
        print(f"{command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except machine_errors as error:
        print(f"{command}: {error}; what was written before is kept", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as error:
        return (say or interrupted(command))(error)
