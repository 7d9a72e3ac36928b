"""Training across processes: two share the work of one, and a killed run goes on to the same weights."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dpnet.training.processes import join_processes, own_device

PROGRAM = Path(__file__).parents[1] / "programs" / "train_part_layer.py"
ROOT = Path(__file__).parents[3]


def run(output, checkpoint="", last_read=-1, processes=1, batch_size=10):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), str(PROGRAM)]
    arguments = [str(output), str(checkpoint), str(last_read), str(batch_size)]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "weights.pt"
    done = run(output)
    assert done.returncode == 0, done.stderr
    return torch.load(output)


@pytest.mark.parametrize("chosen", [own_device, join_processes])
def test_each_process_has_a_gpu_of_its_own(monkeypatch, chosen):
    """Of a machine with two; a process on a machine is told apart by its local rank, not by its rank."""
    current, joined = [], []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(
        "torch.distributed.init_process_group", lambda backend, **given: joined.append(backend)
    )
    assert chosen("cuda") == torch.device("cuda") and chosen("cpu") == torch.device("cpu") and not current
    monkeypatch.setenv("RANK", "5")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert chosen("cuda") == torch.device("cuda", 1) and current == [1]
    assert chosen("cuda:0") == torch.device("cuda", 0) and chosen("cpu") == torch.device("cpu")
    assert current == [1] and joined == (["nccl", "nccl", "gloo"] if chosen is join_processes else [])
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="device: 2 GPUs for 3 processes"):
        chosen("cuda")


@pytest.mark.parametrize("batch_size", [10, 1])
def test_two_processes_give_the_weights_of_one(tmp_path, one_process, batch_size):
    # In batches of one image the second process never gets any.
    done = run(tmp_path / "weights.pt", processes=2, batch_size=batch_size)
    assert done.returncode == 0, done.stderr
    if batch_size != 10:
        assert run(tmp_path / "alone.pt", batch_size=batch_size).returncode == 0
        one_process = torch.load(tmp_path / "alone.pt")
    both = torch.load(tmp_path / "weights.pt")
    assert both.keys() == one_process.keys()
    for name, expected in one_process.items():
        torch.testing.assert_close(both[name], expected)


def test_a_run_killed_in_the_middle_of_an_epoch_ends_with_the_same_weights(tmp_path, one_process):
    output, checkpoint = tmp_path / "weights.pt", tmp_path / "checkpoint.pt"
    killed = run(output, checkpoint, last_read=18)
    assert killed.returncode == -signal.SIGKILL and checkpoint.exists() and not output.exists()
    done = run(output, checkpoint)
    assert done.returncode == 0, done.stderr
    resumed = torch.load(output)
    for name, expected in one_process.items():
        assert torch.equal(resumed[name], expected), name
