"""Start the same command in several processes that share its work, as torchrun would."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence

from opticam.cli.ending import INTERRUPTED, TERMINATED, Terminated, while_loading
from reproduce.workspace import interruption


def launch(arguments: Sequence[str], processes: int) -> int:
    """Run `python -m reproduce ARGUMENTS` in `processes` processes on this machine; the exit status.

    The cores are divided among them, unless OMP_NUM_THREADS says otherwise. When one fails the others are
    ended; what they have stored is kept.
    """
    # Imported here: it takes a second, which other commands need not spend.
    with while_loading(interruption.say):
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    threads = max(1, len(os.sched_getaffinity(0)) // processes if hasattr(os, "sched_getaffinity") else 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ[interruption.LAUNCHED] = "1"
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id="reproduce",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.2,
    )
    # The processes say themselves what went wrong.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        elastic_launch(config, sys.executable)("-m", "reproduce", *arguments)
    except ChildFailedError as error:
        exit_code = next(iter(error.failures.values())).exitcode
        by_hand = {INTERRUPTED: KeyboardInterrupt, -signal.SIGINT: KeyboardInterrupt, TERMINATED: Terminated}
        return interruption.say(by_hand[exit_code]()) if exit_code in by_hand else _status(exit_code)
    except SignalException as error:
        return interruption.say(Terminated() if error.sigval == signal.SIGTERM else KeyboardInterrupt())
    except KeyboardInterrupt as error:
        return interruption.say(error)
    return 0


def _status(exit_code: int) -> int:
    """The exit status to pass on; of a process that was killed, which could not say so, it is said here."""
    if exit_code >= 0:
        return exit_code
    name = signal.Signals(-exit_code).name
    print(f"reproduce: a process was ended by {name}; the same command goes on from here", file=sys.stderr)
    return 128 - exit_code
