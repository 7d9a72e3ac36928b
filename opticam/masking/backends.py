"""Which backend runs an operation on a device, and why another does not."""

from __future__ import annotations

import platform

import torch

from opticam.masking import cpu, cuda, ops

BACKENDS = ("auto", "eager", "cpp", "triton")
DEVICE_OF = {"cpp": "cpu", "triton": "cuda"}


def choose(backend: str, device: torch.device) -> str:
    """ "eager" for the reference itself, else "registered": what the dispatcher holds for the device.

    Raises ValueError for an unknown name, RuntimeError with the reason for a backend that cannot run there.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; accepted: {', '.join(BACKENDS)}")
    if backend == "eager":
        return "eager"
    reason = "" if backend == "auto" else obstacle(backend, device.type)
    if reason:
        raise RuntimeError(f"backend {backend!r} cannot run on {device}: {reason}")
    return "registered"


def obstacle(backend: str, device_type: str) -> str:
    """Why `backend` cannot run on a type of device; "" when it can."""
    if device_type != DEVICE_OF[backend]:
        return f"it runs on {DEVICE_OF[backend]} tensors only"
    return ops.CPP_REASON if backend == "cpp" else cuda.triton_reason()


def automatic(device_type: str) -> tuple[str, str]:
    """The backend that "auto" takes on a type of device, and why not a faster one ("" if there is none)."""
    fastest = {"cpu": "cpp", "cuda": "triton"}.get(device_type)
    if fastest is None:
        return "eager", f"there is no backend for {device_type}"
    reason = obstacle(fastest, device_type)
    return ("eager", reason) if reason else (fastest, "")


def backend_report() -> list[str]:
    """Versions, then a line for each operation and device: which backend runs it, and why not a faster one."""
    lines = [
        f"python {platform.python_version()}, torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}",
        f"processor: {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads",
    ]
    for device_type in ("cpu", "cuda"):
        backend, reason = automatic(device_type)
        if device_type == "cuda" and not torch.cuda.is_available():
            backend, reason = "none", "no CUDA device is available"
        note = f" ({reason})" if reason else _note(backend)
        lines += [f"{name} on {device_type}: {backend}{note}" for name in ops.OPERATIONS]
    return lines


def _note(backend: str) -> str:
    if backend == "triton":
        import triton

        return f" {triton.__version__}; float64 in plain PyTorch"
    return f", {cpu.instructions()} instructions"
