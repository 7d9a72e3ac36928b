"""Calls that run at once, interpreters switching between their threads as often as they can."""

import sys
import threading
from collections.abc import Callable, Sequence

OFTEN = 1e-6
"""Seconds between switches."""


def errors_at_once(calls: Sequence[Callable[[], object]]) -> list[Exception]:
    """What the calls raise, each of which has a thread of its own; none goes on into the caller."""
    errors: list[Exception] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(OFTEN)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return errors
