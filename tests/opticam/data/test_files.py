"""Cache files are whole or absent, and damage is named."""

import pytest
import torch

from opticam.data.files import load_tensors, save_tensors


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
