"""Cache files are whole or absent, and damage is named."""

import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import save_file

from opticam.data.files import (
    check_writable,
    load_notes,
    load_tensors,
    save_tensors,
    whole_file,
    write_text,
)


def test_round_trip_keeps_values_types_and_notes(tmp_path):
    tensors = {"a": torch.arange(7).view(7, 1).expand(7, 3), "b": torch.zeros(0, 4, dtype=torch.uint8)}
    path = tmp_path / "new" / "file.safetensors"
    save_tensors(path, tensors, {"key": "value"})
    read, notes = load_tensors(path)
    assert notes == load_notes(path) == {"key": "value"}
    assert torch.equal(read["a"], tensors["a"])
    assert read["b"].shape == (0, 4) and read["b"].dtype == torch.uint8


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("opticam.data.files.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(tmp_path / "file.safetensors", {"a": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


def writing(path, text, end):
    """A process that is in the middle of writing a file, and will then do `end`; what tells it to go on."""
    begun, go_on = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            with whole_file(path) as temporary:
                temporary.write_text(text)
                os.write(begun[1], b"1")
                os.read(go_on[0], 1)
                end()
        finally:
            os._exit(0)
    os.read(begun[0], 1)

    def finish():
        os.write(go_on[1], b"1")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return finish


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    killed = writing(tmp_path / "a", "half", lambda: os.kill(os.getpid(), signal.SIGKILL))
    living = writing(tmp_path / "b", "whole", lambda: None)
    assert killed() == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    write_text(tmp_path / "c", "")
    assert living() == 0
    assert {path.name for path in tmp_path.iterdir()} == {"b", "c"}
    assert (tmp_path / "b").read_text() == "whole"


@pytest.mark.parametrize(
    "write",
    [lambda path: save_tensors(path, {"a": torch.ones(3)}), lambda path: write_text(path, "text")],
    ids=["tensors", "text"],
)
def test_files_are_as_readable_as_the_umask_lets_them_be(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~0o027


def test_a_file_that_may_not_be_read_is_not_called_missing(tmp_path):
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.ones(3)})
    path.chmod(0)
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:  # who may read everything
                os.setuid(65534)
            load_tensors(path)
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_text_is_whole_or_what_was_there_before(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.csv"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()

    def cut(self, text, encoding):
        self.write_bytes(text.encode(encoding)[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr(type(path), "write_text", cut)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "another\n")
    assert path.read_bytes() == "é\n".encode() and list(path.parent.iterdir()) == [path]


def test_damaged_file_is_named(tmp_path):
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ValueError, match=r"file\.safetensors is damaged"):
        load_tensors(path)


def test_a_machine_that_refuses_is_an_oserror_and_the_file_before_stays(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {})

    def elsewhere(tensors, temporary, notes):
        save_file(tensors, tmp_path / "gone" / "file", notes)

    monkeypatch.setattr("opticam.data.files.save_file", elsewhere)
    with pytest.raises(OSError, match=r"file\.safetensors.*No such file"):
        save_tensors(path, {"a": torch.zeros(3)}, {})
    assert torch.equal(load_tensors(path)[0]["a"], torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("write", [lambda path: save_file({}, path), lambda path: path.write_text("")])
def test_a_folder_removed_while_writing_is_no_missing_input(tmp_path, write):
    path = tmp_path / "folder" / "file"
    with pytest.raises(OSError, match=r"folder was removed") as caught, whole_file(path) as temporary:
        shutil.rmtree(path.parent)
        write(temporary)
    assert not isinstance(caught.value, FileNotFoundError)


def test_a_folder_is_made_and_tried_and_nothing_is_left_in_it(tmp_path):
    check_writable(tmp_path / "new/folder")
    check_writable(tmp_path / "new/folder")
    assert not list((tmp_path / "new/folder").iterdir())
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(NotADirectoryError, match="file"):
            check_writable(path)
