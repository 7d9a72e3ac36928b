"""Run experiments on the tiny workspace of conftest.py and write their tables; may be killed on the way.

Arguments: results folder, tables folder, and "write N" or "commit N" to die by SIGKILL before the N-th writing
call or in the middle of the N-th transaction; "go" to live.
"""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import torch

from reproduce.experiments.computing import Computation, compute
from reproduce.experiments.opticam.causal import CausalTable
from reproduce.experiments.opticam.localization import LocalizationTables
from reproduce.experiments.opticam.main import MainTable
from reproduce.experiments.outcome import outcomes
from reproduce.experiments.outputs import Outputs
from reproduce.workspace.processes import is_first, process_group
from reproduce.workspace.store import Store

CHOSEN = [MainTable(), CausalTable(), LocalizationTables()]


def tiny_workspace(results):
    path = Path(__file__).parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.tiny_workspace(results)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_write(number):
    write, calls = Store.write, iter(range(1, 10_000))
    Store.write = lambda store, rows: die() if next(calls) == number else write(store, rows)


def die_in_transaction(number):
    """Die when the rows of the transaction are written and it is about to be committed."""
    enter, commits = Store._prepare, iter(range(1, 10_000))

    def watch(store):
        enter(store)
        store.connection.set_trace_callback(
            lambda statement: die() if statement == "COMMIT" and next(commits) == number else None
        )

    Store._prepare = watch


def main(results, tables, fate):
    torch.set_num_threads(1)
    kind, _, number = fate.partition(" ")
    if kind != "go":
        {"write": die_at_write, "commit": die_in_transaction}[kind](int(number))
    workspace = tiny_workspace(Path(results))
    with process_group():
        compute(Computation(workspace, CHOSEN))
    if is_first():
        list(Outputs(outcomes(workspace, CHOSEN), Path(tables), digest="").tables())


if __name__ == "__main__":
    main(*sys.argv[1:])
