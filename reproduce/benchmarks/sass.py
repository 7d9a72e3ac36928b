"""What a compiled GPU kernel executes, read from its SASS: global loads and stores by width, and tensor-core work.

No GPU is needed: `cuobjdump`, which Triton ships and which comes with CUDA, lists the instructions of a cubin, an
object file or a library.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ARCHITECTURE = re.compile(r"code for sm_(\d+)")
FUNCTION = re.compile(r"Function : (\S+)")
INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?([A-Z]\w*(?:\.\w+)*)")
"""An address, perhaps a predicate, then the opcode with its modifiers."""
TENSOR_CORE = re.compile(r"([HIDBQO]G?|UTC\w*)MMA(\.|$)")
LOADS, STORES = ("LDG", "LDGSTS"), ("STG",)
"""LDGSTS copies from global to shared memory; bulk copies (UTMALDG, UTMASTG, UBLKCP) have no width."""
WIDTHS = {"U8": 8, "S8": 8, "U16": 16, "S16": 16, "64": 64, "128": 128, "256": 256}
"""Bits that a modifier stands for; an access without one of these has 32."""


@dataclass
class Instructions:
    """How often a kernel's code holds each instruction; what a loop repeats counts once.

    opcodes: by opcode and modifiers, "LDG.E.128" say. loads, stores: accesses to global memory by bits a thread.
    """

    opcodes: Counter[str] = field(default_factory=Counter)

    @property
    def loads(self) -> dict[int, int]:
        """Loads from global memory: bits a thread -> instructions, narrowest first."""
        return self._widths(LOADS)

    @property
    def stores(self) -> dict[int, int]:
        """Stores to global memory: bits a thread -> instructions, narrowest first."""
        return self._widths(STORES)

    @property
    def tensor_core(self) -> int:
        """Instructions of the tensor cores: HMMA, HGMMA, UTCHMMA and their kin."""
        return sum(count for opcode, count in self.opcodes.items() if TENSOR_CORE.match(opcode))

    def count(self, name: str) -> int:
        """Instructions of one opcode, whatever its modifiers."""
        return sum(count for opcode, count in self.opcodes.items() if opcode.split(".")[0] == name)

    def _widths(self, names: tuple[str, ...]) -> dict[int, int]:
        found: Counter[int] = Counter()
        for opcode, count in self.opcodes.items():
            name, *modifiers = opcode.split(".")
            if name in names:
                found[next((WIDTHS[m] for m in modifiers if m in WIDTHS), 32)] += count
        return dict(sorted(found.items()))


def read_sass(path: Path, architecture: int | None = None) -> dict[str, Instructions]:
    """The instructions of every kernel in a cubin, object file or library, by the kernel's symbol.

    architecture: 90, say; needed where the file holds code for several. Raises FileNotFoundError where there is no
    cuobjdump, RuntimeError with its message where it cannot read the file.
    """
    return parse_sass(cuobjdump(path, "-sass"), architecture)


def parse_sass(listing: str, architecture: int | None = None) -> dict[str, Instructions]:
    """As `read_sass`, from what `cuobjdump -sass` prints.

    Raises ValueError for a kernel that is there for several architectures when none is named.
    """
    kernels: dict[str, Instructions] = {}
    current: Instructions | None = None
    wanted = True
    for line in listing.splitlines():
        if found := ARCHITECTURE.search(line):
            wanted = architecture in (None, int(found[1]))
        elif found := FUNCTION.search(line):
            current = Instructions() if wanted else None
            if current and found[1] in kernels:
                raise ValueError(f"{found[1]} is there for several architectures: name one")
            if current:
                kernels[found[1]] = current
        elif current and (found := INSTRUCTION.search(line)):
            current.opcodes[found[1]] += 1
    return kernels


def cuobjdump(path: Path, *options: str) -> str:
    """What CUDA's lister of binaries prints of a file."""
    result = subprocess.run([_tool(), *options, path], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"cuobjdump cannot read {path.name}: {result.stderr or result.stdout}")
    return result.stdout


def _tool() -> Path:
    """The cuobjdump of Triton, or else the one on the path."""
    triton, on_path = importlib.util.find_spec("triton"), shutil.which("cuobjdump")
    folders = triton.submodule_search_locations or () if triton else ()
    shipped = [Path(folder) / "backends" / "nvidia" / "bin" / "cuobjdump" for folder in folders]
    for tool in (*shipped, *([Path(on_path)] if on_path else ())):
        if tool.exists():
            return tool
    raise FileNotFoundError("no cuobjdump: install Triton or put CUDA's on the path")
