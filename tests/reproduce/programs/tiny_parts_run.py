"""Train DP-Net's models on the tiny workspace of conftest.py and write the tables; says who trains what, and who
writes into which file.

Arguments: results folder, tables folder.
"""

import importlib.util
import os
import sys
from functools import partial, partialmethod
from pathlib import Path

import torch

from reproduce.experiments.computing import Computation, compute
from reproduce.experiments.dpnet.constraints import ConstraintTable
from reproduce.experiments.dpnet.deviations import DpNetDeviations
from reproduce.experiments.dpnet.main import MainTable
from reproduce.experiments.outcome import outcomes
from reproduce.experiments.outputs import Outputs
from reproduce.parts import data as part_data
from reproduce.parts import measuring as part_measuring
from reproduce.parts import models as part_models
from reproduce.workspace.processes import is_first, process_group
from reproduce.workspace.store import Store

CHOSEN = [MainTable(), ConstraintTable(), DpNetDeviations()]
TESTS = Path(__file__).parents[1]


def load(name):
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def say_who_trains():
    train = part_models._train_and_test

    def saying(workspace, run, plan):
        # With its line end in one string: the processes write to the same pipe.
        print(f"process {os.environ.get('RANK', 0)} trains {run.method} {run.image}\n", end="", flush=True)
        return train(workspace, run, plan)

    part_models._train_and_test = saying


def say_who_writes():
    def saying(call, store, *given, **filters):
        rank = os.environ.get("RANK", 0)
        print(f"process {rank} writes {store.path.name}\n", end="", flush=True)
        return call(store, *given, **filters)

    for name in ("write", "delete"):
        setattr(Store, name, partialmethod(partial(saying, getattr(Store, name))))


def main(results, tables):
    torch.set_num_threads(1)
    say_who_trains()
    say_who_writes()
    for module in (part_data, part_measuring, part_models):
        module.dataset_split = load("experiments/dpnet/test_parts").pictures
    workspace = load("conftest").tiny_parts_workspace(Path(results), epochs=2, folds=2, layers={})
    workspace.cache = workspace.results / "cache"
    with process_group():
        compute(Computation(workspace, CHOSEN))
    if is_first():
        list(Outputs(outcomes(workspace, CHOSEN), Path(tables), digest="").tables())


if __name__ == "__main__":
    main(*sys.argv[1:])
