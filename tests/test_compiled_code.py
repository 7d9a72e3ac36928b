"""Code that torch.compile keeps is kept apart for each set of instructions."""

import os
import subprocess
import sys
from pathlib import Path

CONFTEST = Path(__file__).parent / "conftest.py"
NAME = "TORCHINDUCTOR_CACHE_DIR"


def kept_in(**variables):
    program = f"import os, runpy; runpy.run_path({str(CONFTEST)!r}); print(os.environ[{NAME!r}])"
    rest = {name: value for name, value in os.environ.items() if name != NAME}
    return subprocess.check_output([sys.executable, "-c", program], env=rest | variables, text=True).strip()


def test_another_set_of_instructions_has_another_folder():
    baseline = kept_in(ATEN_CPU_CAPABILITY="default")
    assert baseline == kept_in(ATEN_CPU_CAPABILITY="default") != kept_in(ATEN_CPU_CAPABILITY="avx2")


def test_a_folder_that_is_named_is_taken():
    assert kept_in(**{NAME: "elsewhere"}) == "elsewhere"
