"""What other processes can do to a store: be killed in the middle, or write at the same time."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from reproduce.workspace.store import Store

BATCH = 501


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


KILLED = """
    import sys, time
    from reproduce.workspace.store import Row, Store

    path, batch, instructions = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = Store(path)

    def write(index):
        images = [f"{index}-{image}" for image in range(batch)]
        store.write(Row("sample", "main", "resnet50", "Opti-CAM", image, "AD", 1.0) for image in images)

    def stop_here():
        store.connection.set_progress_handler(None, 0)
        print("in the third batch", store.connection.in_transaction, flush=True)
        time.sleep(600)

    write(0)
    write(1)
    store.connection.execute("PRAGMA cache_size = 2")  # makes the open transaction reach the disk
    store.connection.set_progress_handler(stop_here, instructions)
    write(2)
"""


@pytest.mark.parametrize("instructions", [1_000, 5_003])
def test_a_killed_process_loses_only_the_batch_in_flight(tmp_path, instructions):
    path = tmp_path / "results.sqlite"
    writer = start(KILLED, path, BATCH, instructions)
    assert writer.stdout.readline() == "in the third batch True\n", writer.communicate()[1]
    writer.kill()
    writer.communicate()
    with Store(path) as store:
        done = store.done("sample", "main", "resnet50", "Opti-CAM", ["AD"])
        assert done == {f"{index}-{image}" for index in range(2) for image in range(BATCH)}
        assert store.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


WRITER = """
    import sys
    from reproduce.workspace.store import Row, Store

    path, name, batches = sys.argv[1], sys.argv[2], int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.read()
    with Store(path) as store:
        for index in range(batches):
            store.write([Row("sample", "main", "resnet50", name, f"{index}-{i}", "AD", i) for i in range(7)])
            store.skip("sample", "main", f"{name}-{index}", "corrupt")
"""


def test_processes_that_open_and_write_at_once_all_succeed(tmp_path):
    path, batches = tmp_path / "new.sqlite", 60
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [subprocess.Popen([*command, f"method {n}", str(batches)], **pipes) for n in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.close()
    assert [(writer.wait(), writer.stderr.read()) for writer in writers] == [(0, "")] * 4
    with Store(path) as store:
        assert store.frame("sample", "main").groupby("method").size().tolist() == [7 * batches] * 4
        assert len(store.skips("sample", "main")) == 4 * batches
