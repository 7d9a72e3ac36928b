"""Where a figure was measured: commit, versions, device and threads, one flat record for every CSV row."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch

from reproduce.workspace.paths import ROOT


def environment(device: str | torch.device = "cpu", sources: Sequence[str] = ()) -> dict[str, str]:
    """Commit, versions, device name and thread count as strings, ready to be columns of a CSV row.

    sources: the files or folders, relative to the repository, that the figure measures.
    """
    device = torch.device(device)
    return {
        "commit": commit(sources),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton_version(),
        "device": device_name(device),
        "threads": str(torch.get_num_threads()) if device.type == "cpu" else "",
    }


def commit(sources: Sequence[str] = (".", ":!figures")) -> str:
    """The checked-out commit's short hash, with "+" where tracked `sources` differ; "unknown" outside git.

    What was published before is no source, so one profile's publication may follow on another's.
    """
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+" if _git("status", "--porcelain", "--untracked-files=no", "--", *sources) else "")


def device_name(device: torch.device) -> str:
    """The GPU's name, or the CPU's model with the vector instructions PyTorch uses on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_model()} ({torch.backends.cpu.get_cpu_capability()}, {platform.system()})"


def triton_version() -> str:
    """Triton's version, or "" where it is not installed."""
    try:
        import triton
    except ImportError:
        return ""
    return triton.__version__


def _cpu_model() -> str:
    """The name with family and model, where Linux tells them: a virtual machine's name may stand for many."""
    information = Path("/proc/cpuinfo")
    if not information.exists():
        return platform.processor() or platform.machine()
    first = information.read_text().split("\n\n", 1)[0]
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines())
    }
    name = facts.get("model name") or platform.machine()
    numbers = [
        f"{word} {facts[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in facts
    ]
    return ", ".join([name, *numbers])


def _git(*arguments: str) -> str:
    try:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return result.stdout.strip()
