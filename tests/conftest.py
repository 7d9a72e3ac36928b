"""What holds for all tests: none is timed, and code is compiled anew for other instructions."""

import hashlib
import os
import re
import tempfile
from pathlib import Path

from hypothesis import settings

# Hypothesis would fail a test for which a busy machine takes long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# What torch.compile has kept for one set of instructions corrupts memory under another.
CPU, LEVEL = Path("/proc/cpuinfo"), os.environ.get("ATEN_CPU_CAPABILITY", "")
FLAGS = re.search("^flags.*", CPU.read_text(), re.M) if CPU.exists() else None
DIGEST = hashlib.sha256(f"{FLAGS and FLAGS[0]} {LEVEL}".encode()).hexdigest()[:12]
os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", f"{tempfile.gettempdir()}/inductor-{os.getuid()}-{DIGEST}")
