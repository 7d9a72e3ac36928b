"""The compiled library of a package: what is said where there is none, and where it does not load."""

import torch

from opticam import compiled


def test_a_library_that_is_not_built_says_how_to_build_it(tmp_path):
    assert f"{tmp_path.name}._C is not built; install a C++ compiler" in compiled.load(tmp_path)
    assert compiled.build_facts(tmp_path) == {}


def test_a_library_that_does_not_load_names_the_file_and_both_versions(tmp_path):
    (tmp_path / "_C.abi3.so").write_bytes(b"not a library")
    assert "_C.abi3.so was built with PyTorch an unknown version" in compiled.load(tmp_path)
    (tmp_path / "_C.json").write_text('{"torch": "2.9.0"}')
    reason = compiled.load(tmp_path)
    assert "2.9.0" in reason and torch.__version__ in reason
