"""Cache files are whole or absent, and damage is named."""

import shutil

import pytest
import torch
from safetensors.torch import save_file

from opticam.data.files import load_tensors, save_tensors, whole_file


def test_round_trip_keeps_values_types_and_notes(tmp_path):
    tensors = {"a": torch.arange(7).view(7, 1).expand(7, 3), "b": torch.zeros(0, 4, dtype=torch.uint8)}
    path = tmp_path / "new" / "file.safetensors"
    save_tensors(path, tensors, {"key": "value"})
    read, notes = load_tensors(path)
    assert notes == {"key": "value"}
    assert torch.equal(read["a"], tensors["a"])
    assert read["b"].shape == (0, 4) and read["b"].dtype == torch.uint8


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("opticam.data.files.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(tmp_path / "file.safetensors", {"a": torch.zeros(3)}, {})
    assert list(tmp_path.iterdir()) == []


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
