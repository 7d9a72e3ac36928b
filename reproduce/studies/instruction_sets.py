"""What a process may use of its processor: the settings that tests and studies run under.

    python -m reproduce.studies.instruction_sets

prints those that this processor has, one in a line, as a name and the environment variables that bring it about; and
for the others that they are left out.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Setting:
    """What a process may use of its processor, and which Python runs it.

    flag: what the processor must have, as the kernel names it; "" for any. capability, isa, mkl and parts are
    the limits of PyTorch, oneDNN, MKL and the extension of DP-Net.
    """

    name: str
    flag: str
    threads: int
    capability: str
    isa: str
    mkl: str
    parts: str
    python: str = sys.executable

    def environment(self) -> dict[str, str]:
        """The environment variables that bring the setting about."""
        return {
            "OMP_NUM_THREADS": str(self.threads),
            "OMP_WAIT_POLICY": "PASSIVE",
            "ATEN_CPU_CAPABILITY": self.capability,
            "ONEDNN_MAX_CPU_ISA": self.isa,
            "MKL_ENABLE_INSTRUCTIONS": self.mkl,
            "DPNET_CPU_INSTRUCTIONS": self.parts,
        }


SETTINGS = (
    Setting("baseline", "", 1, "default", "SSE41", "SSE4_2", "baseline"),
    Setting("AVX2", "avx2", 1, "avx2", "AVX2", "AVX2", "avx2"),
    Setting("AVX-512", "avx512f", 1, "avx512", "AVX512_CORE", "AVX512", "avx512"),
    Setting("AVX-512, 2 threads", "avx512f", 2, "avx512", "AVX512_CORE", "AVX512", "avx512"),
    Setting("all", "", 1, "avx512", "ALL", "AVX512", ""),
)
"""The last takes whatever the processor adds to AVX-512: VNNI, bfloat16, AMX."""


def processor_flags() -> set[str] | None:
    """What the processor has, as the kernel names it; None where it cannot be asked."""
    information = Path("/proc/cpuinfo")
    return set(information.read_text().split()) if information.exists() else None


def available(settings: tuple[Setting, ...]) -> list[Setting]:
    """The settings that this processor has; all of them where it cannot be asked."""
    flags = processor_flags()
    return [setting for setting in settings if not setting.flag or flags is None or setting.flag in flags]


def main() -> None:
    """Print the settings."""
    usable = available(SETTINGS)
    for setting in SETTINGS:
        if setting in usable:
            print(
                setting.name, *(f"{name}={value}" for name, value in setting.environment().items()), sep="\t"
            )
        else:
            print(f"{setting.name}: left out, the processor has no {setting.flag}", file=sys.stderr)


if __name__ == "__main__":
    main()
