"""Do a command's work in several processes of this machine, each with what is loaded already."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable

import torch
from torch.distributed.elastic.utils.distributed import get_free_port
from torch.multiprocessing import _prctl_pr_set_pdeathsig  # type: ignore[attr-defined]  # of C++
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, start_processes

from opticam.cli.ending import INTERRUPTED, TERMINATED, Terminated
from reproduce.workspace import interruption

TOLD, GRACE = 2.0, 30.0
"""Seconds that an interrupted process has to end in before it is told to, and before it is killed."""


def compute_alone() -> None:
    """Have this process start no threads of its own: in the processes that it is copied to they would be missing."""
    torch.set_num_threads(1)


def launch(work: Callable[[], int], processes: int) -> int:
    """Do `work` in `processes` processes, as ranks of one group; the exit status.

    work: ends as `opticam.cli.ending.run_to_end` does, with an exit status. The cores are divided among the
    processes, unless OMP_NUM_THREADS says otherwise. When one fails the others are ended; what they have stored is
    kept. Call `compute_alone` before anything is computed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, cores // processes))
    # Copies need not load the libraries again. Where a system's own libraries forbid it they are started anew.
    method = "fork" if sys.platform == "linux" else "spawn"
    arguments = (work, processes, get_free_port(), threads, os.getpid())
    context = start_processes(_rank, arguments, processes, join=False, start_method=method)
    # The processes say themselves what went wrong.
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.CRITICAL)
    try:
        while not context.join():
            pass
    except ProcessExitedException as error:
        return _status(error.exit_code)
    except KeyboardInterrupt as error:
        _end(context)
        return interruption.say(error)
    return 0


def _rank(rank: int, work: Callable[[], int], processes: int, port: int, threads: int, launcher: int) -> None:
    # On Linux, when the launcher is killed. PyTorch has SIGINT sent, which is ignored in the background of a shell.
    _prctl_pr_set_pdeathsig(signal.SIGTERM)
    if os.getppid() != launcher:
        raise Terminated
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        interruption.LAUNCHED: "1",
    }
    torch.set_num_threads(threads)
    sys.exit(work())


def _end(context: ProcessContext) -> None:
    """End all processes. Those that Ctrl-C has told, too, end by themselves; a second signal would disturb that."""
    for process in context.processes:
        process.join(TOLD)
    for process in context.processes:
        process.terminate()
    for process in context.processes:
        process.join(GRACE)
        process.kill()


def _status(exit_code: int) -> int:
    """The exit status to pass on; of a process that could not say why it ended, it is said here."""
    by_hand = {INTERRUPTED: KeyboardInterrupt, -signal.SIGINT: KeyboardInterrupt, TERMINATED: Terminated}
    if exit_code in by_hand:
        return interruption.say(by_hand[exit_code]())
    if exit_code >= 0:
        return exit_code
    name = signal.Signals(-exit_code).name
    print(f"reproduce: a process was ended by {name}; the same command goes on from here", file=sys.stderr)
    return 128 - exit_code
