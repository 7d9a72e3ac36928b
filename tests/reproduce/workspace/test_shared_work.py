"""Work shared among processes: each thing is done once, and the tables are those of one process."""

import heapq
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.distributed as dist
from evaluating import evaluate
from hypothesis import given
from hypothesis import strategies as st

from dpnet.training.processes import alone, rank, world_size
from reproduce.__main__ import _parse, main
from reproduce.cli.opening import workspace
from reproduce.saliency.evaluation import _missing, batches
from reproduce.saliency.requests import Request, by_network
from reproduce.workspace import processes
from reproduce.workspace.database import in_use
from reproduce.workspace.store import Row, Store

PROGRAM = Path(__file__).parents[1] / "programs" / "tiny_parts_run.py"
ROOT = Path(__file__).parents[3]
TABLES = ("dpnet_main", "dpnet_constraints", "dpnet_interpretability")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def run_program(folder, *launcher):
    command = [sys.executable, *launcher, str(PROGRAM), str(folder / "results"), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    said = {
        word: [line.split(word) for line in done.stdout.splitlines() if word in line]
        for word in (" trains ", " writes ")
    }
    return said, {name: pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str) for name in TABLES}


def test_two_processes_share_dpnets_models_and_give_the_tables_of_one(tmp_path):
    (one, expected), (two, found) = (
        run_program(tmp_path / name, *launcher) for name, launcher in (("one", []), ("two", TORCHRUN))
    )
    trained = Counter(model for _, model in two[" trains "])
    assert trained == Counter(model for _, model in one[" trains "]) and set(trained.values()) == {1}
    assert {who for who, _ in two[" trains "]} == {"process 0", "process 1"}
    files = {("process 0", "results.sqlite"), ("process 1", "results.rank1.sqlite")}
    assert {(who, file) for who, file in two[" writes "]} == files  # no process waits for another one's rows
    assert {path.name for path in (tmp_path / "two" / "results").glob("*.sqlite")} == {"results.sqlite"}
    for name in TABLES:
        pd.testing.assert_frame_equal(found[name], expected[name], check_exact=True)


DRAWING = """
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from matplotlib.figure import Figure
from reproduce.experiments.outcome import Outcome
from reproduce.experiments.outputs import Outputs, draw
from reproduce.workspace.processes import process_group

folder = Path(sys.argv[1])

def told(name, drawing):
    def figures(workspace):
        while name == "e4" and not (folder / "e0.pdf").exists():  # the longest ends after all others
            time.sleep(0.05)
        return {name: Figure()}

    return Outcome(None, SimpleNamespace(name=name, drawing=drawing, figures=figures))

with process_group() as rank:
    outputs = Outputs([told(f"e{n}", n) for n in range(5)], folder, digest="same")
    for path in draw([outputs]):
        print(rank, "draws", path.name, flush=True)
    for name in outputs.told:
        assert outputs.drawn.current(name.experiment.name, "figures", "same")
    assert not list(draw([outputs]))
"""


def test_two_processes_share_the_figures_and_one_record_names_all(tmp_path):
    program = tmp_path / "drawing.py"
    program.write_text(DRAWING)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *TORCHRUN, str(program), str(tmp_path / "figures")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    drawn = [line.split(" draws ") for line in done.stdout.splitlines()]
    expected = {f"e{n}.{kind}" for n in range(5) for kind in ("png", "pdf")}
    assert {name for _, name in drawn} == expected and len(drawn) == len(expected)
    (longest,) = {who for who, name in drawn if name.startswith("e4")}
    assert {who for who, name in drawn if not name.startswith("e4")} == {"0", "1"} - {longest}
    assert {path.name for path in (tmp_path / "figures").glob("e*")} == expected


class Counters:
    """What processes count together, as a store of torch.distributed does."""

    def __init__(self):
        self.numbers = Counter()

    def add(self, name, amount):
        self.numbers[name] += amount
        return self.numbers[name]


def loads_of(world, works):
    """What so many processes do, each taking the next item when it is done with the one before; how long it takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "is_initialized", lambda: True)
        patch.setattr(dist, "get_world_size", lambda: world)
        counters = Counters()
        patch.setattr(processes, "_counters", lambda: counters)
        shares = []
        for _ in range(world):  # each has a count of its own of what is shared
            patch.setattr(processes, "_shares", itertools.count())
            shares.append(processes.share(enumerate(works), lambda item: item[1]))
        free = [(0, number) for number in range(world)]
        loads = [[] for _ in range(world)]
        while free:
            time, number = heapq.heappop(free)
            for item in itertools.islice(shares[number], 1):
                loads[number].append(item)
                heapq.heappush(free, (time + item[1], number))
        return loads


@given(works=st.lists(st.integers(1, 1000), min_size=1), world=st.integers(2, 5))
def test_every_item_falls_to_one_process_and_none_is_late_by_more_than_its_last(works, world):
    """The bound of list scheduling: the mean, and of the longest item all but a share (Graham, 1966)."""
    loads = loads_of(world, works)
    assert sorted(item for load in loads for item in load) == list(enumerate(works))
    times = [[work for _, work in load] for load in loads]
    for load in times:
        assert load == sorted(load, reverse=True)
        assert sum(load[:-1]) <= min(map(sum, times))
    assert max(map(sum, times)) <= sum(works) / world + (1 - 1 / world) * max(works) + 1e-9 * sum(works)


def test_a_resumed_run_lacks_what_is_not_stored_in_each_batch_the_longest_first(make_workspace):
    workspace = make_workspace(count=30)
    requests = [
        Request("tiny", "Grad-CAM", ("faithfulness",)),
        Request("tiny", "Opti-CAM", ("faithfulness",)),
    ]
    evaluate(workspace, [replace(request, images=15) for request in requests])
    (methods,) = by_network(requests).values()
    assert [(one.batch, one.request.method) for one in _missing(workspace, methods)] == [
        (batch, method)
        for batch in batches(workspace)
        if batch.start >= 15
        for method in ("Opti-CAM", "Grad-CAM")
    ]


def test_a_second_run_leaves_the_rows_of_a_running_group_alone(tmp_path, capsys):
    path = tmp_path / "results.rank1.sqlite"
    line = ["run", "--profile", "photographs", "--results", str(tmp_path), "--limit", "1", "--quiet"]
    with Store(path) as store:
        store.write([Row("p", "e", "n", "m", "i", "AD", 1.0)])
        assert in_use(path)
        assert main(line) == 2
        assert "another run are writing" in capsys.readouterr().err
        store.write([Row("p", "e", "n", "m", "j", "AD", 2.0)])
    assert not in_use(path)
    with Store(path) as store:
        assert len(store.frame("p", "e")) == 2


def test_a_file_that_one_may_not_write_is_not_in_use():
    """An idle one; while it is open, its user's second connection finds it locked."""
    folder = Path(tempfile.mkdtemp())  # tmp_path lies in a folder that other users may not enter
    path = folder / "results.rank1.sqlite"
    with Store(path) as store:
        store.write([Row("p", "e", "n", "m", "i", "AD", 1.0)])
        assert in_use(path)
    path.chmod(0o444)
    folder.chmod(0o555)
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:  # who may write everything
                os.setuid(65534)
            os._exit(in_use(path))
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("place", [0, 1])
def test_each_process_of_a_run_computes_on_a_gpu_of_its_own(monkeypatch, place):
    current = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setenv("LOCAL_RANK", str(place))
    given = workspace(_parse(["run", "--profile", "photographs", "--device", "cuda"]))
    assert given.device == torch.device("cuda", place) and current == [place]


def test_one_process_does_all_in_the_order_given():
    assert list(processes.share([3, 1, 2], lambda item: item)) == [3, 1, 2]


def test_a_model_of_ones_own_is_trained_alone(monkeypatch):
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(dist, "get_rank", lambda: 2)
    assert (rank(), world_size()) == (2, 3)
    with alone():
        assert (rank(), world_size()) == (0, 1)
    assert (rank(), world_size()) == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--processes", "2", "--profile", "imagenet"], "images, labels"),
        (["--processes", "2", "--device", "cuda"], "processes:"),
    ],
)
def test_bad_input_is_told_once_before_processes_start(capsys, monkeypatch, arguments, words):
    def launch(work, processes):
        raise AssertionError("started")

    monkeypatch.setattr("reproduce.cli.running.launch", launch)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert main(["run", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_no_processes_is_an_error(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--processes", "0"])
    assert "--processes" in capsys.readouterr().err


RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from reproduce.__main__ import main
print("ready", flush=True)
sys.exit(main(["run", "--processes", "2", *sys.argv[1:]]))
"""

LAUNCH = """
import os, signal, sys, time
from reproduce.cli.launching import compute_alone, launch

def work():
    import torch

    product = torch.ones(400, 400) @ torch.ones(400, 400)
    if os.environ["RANK"] == "1":
        {other}
    time.sleep({seconds})
    line = str(torch.get_num_threads()) + " " + str(product.sum().item()) + os.linesep
    os.write(1, line.encode())  # in one piece: the other process writes at the same time
    return 0

compute_alone()
sys.exit(launch(work, 2))
"""


def start(program, *arguments, **variables):
    command = [sys.executable, "-c", program, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes)


def test_processes_compute_with_threads_of_their_own():
    process = start(LAUNCH.format(other="pass", seconds=0), OMP_NUM_THREADS="3")
    output, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, "")
    assert output.split() == ["3", "64000000.0"] * 2


@pytest.mark.parametrize(
    ("other", "status", "words"),
    [
        ("return 2", 2, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "SIGKILL"),
        ("raise RuntimeError('a fault of ours')", 1, "a fault of ours"),
    ],
)
def test_one_failing_process_ends_the_others(other, status, words):
    process = start(LAUNCH.format(other=other, seconds=300))
    output, error = process.communicate(timeout=120)
    assert (process.returncode, output) == (status, "")
    assert words in error if words else not error


@pytest.mark.parametrize("ignored", [False, True], ids=["in front", "in the background"])
def test_the_processes_of_a_killed_launcher_end(ignored):
    """In the background of a shell SIGINT, which tells processes of a launcher's end elsewhere, is ignored."""
    ignore = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignored else ""
    begin = "pass\n    os.write(1, b'at work\\n')"
    process = start(ignore + LAUNCH.format(other=begin, seconds=300))
    try:
        assert [process.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
        process.kill()
        assert process.communicate(timeout=60)[0] == ""  # the last one that could write has ended
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("moment", [0.9, 3, "stage dpnet-main: begins"])
def test_ctrl_c_ends_all_processes_with_one_line(tmp_path, moment):
    """So many seconds after the first modules were loaded, while others are; and at work."""
    arguments = ("--quiet", "--limit", "2", "--only", "dpnet-main", "--results", str(tmp_path))
    process = start(RUN, *arguments)
    assert process.stdout.readline() == "ready\n"
    if isinstance(moment, str):
        assert any(line.startswith(moment) for line in process.stdout)
    else:
        time.sleep(moment)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert error.count("the same command goes on from here") == 1
    assert "Traceback" not in error
