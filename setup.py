"""Build the extensions opticam._C and dpnet._C from csrc/.

The C++ part is always built, against PyTorch's stable interface: one library serves every later release.

CUDA joins dpnet._C when FORCE_CUDA=1, when TORCH_CUDA_ARCH_LIST is set, or when this machine has a GPU; each time
the compiler is looked for in CUDA_HOME, on the path, in /usr/local/cuda and where pip installs it. A machine with
a compiler but no GPU gets C++ only unless asked, because CUDA triples the time to build; FORCE_CUDA=0 always
leaves it out. TORCH_CUDA_ARCH_LIST is "8.0+PTX;9.0a" unless it is set, whichever GPU is here: what runs on every GPU
from 8.0 on, and the kernel of 9.0, which is built where 9.0a is among them. MAX_JOBS limits the compilers that run at
once. Without a C++ compiler that starts nothing is built and the eager implementations serve.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
OLDEST_PYTHON = "0x030A0000"
ARCHITECTURES = "8.0+PTX;9.0a"


def has_compiler() -> bool:
    """Whether CXX, or c++, is there and says its version."""
    command = os.environ.get("CXX", "c++").split()
    if not shutil.which(command[0]):
        return False
    return subprocess.run([*command, "--version"], capture_output=True).returncode == 0


def cuda_home() -> Path | None:
    """The root of a CUDA toolkit: where bin/nvcc and include/cuda_runtime.h are."""
    on_path = shutil.which("nvcc")
    packages = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    candidates = [os.environ.get("CUDA_HOME"), on_path and Path(on_path).resolve().parent.parent]
    candidates += ["/usr/local/cuda", packages / "cu13", packages / "cuda_nvcc"]
    for root in map(Path, filter(None, candidates)):
        if (root / "bin" / "nvcc").exists() and (root / "include" / "cuda_runtime.h").exists():
            return root
    return None


def wants_cuda() -> bool:
    """Whether to compile the CUDA kernels; raises where they are demanded and there is no compiler."""
    forced = os.environ.get("FORCE_CUDA")
    if forced == "0":
        return False
    if cuda_home() is None:
        if forced:
            raise SystemExit("FORCE_CUDA is set but no CUDA compiler was found; set CUDA_HOME to its toolkit")
        return False
    import torch

    return bool(forced or os.environ.get("TORCH_CUDA_ARCH_LIST") or torch.cuda.is_available())


def runtime_folder(home: Path) -> Path:
    """A folder with libcudart.so: the toolkit's, or a link to the one of pip, which has another name."""
    for folder in (home / "lib64", home / "lib"):
        if (folder / "libcudart.so").exists():
            return folder
    library = next((home / "lib").glob("libcudart.so.*"))
    folder = ROOT / "build" / "cudart"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "libcudart.so"
    link.unlink(missing_ok=True)
    link.symlink_to(library)
    return folder


def extension(package: str, cuda: bool):
    """The extension of one package, or None while csrc/<package> holds no source."""
    from torch.utils.cpp_extension import CppExtension, CUDAExtension

    patterns = ("*.cpp", "*.cu") if cuda else ("*.cpp",)
    folder = ROOT / "csrc" / package
    sources = sorted(str(path.relative_to(ROOT)) for pattern in patterns for path in folder.rglob(pattern))
    if not sources:
        return None
    common = ["-O3", "-std=c++17", f"-DPy_LIMITED_API={OLDEST_PYTHON}"]
    options = {
        "py_limited_api": True,
        "extra_compile_args": {"cxx": [*common, "-g0", "-fopenmp-simd", "-fvisibility=hidden"]},
    }
    if not any(source.endswith(".cu") for source in sources):
        return CppExtension(f"{package}._C", sources, **options)
    definitions = ["-DUSE_CUDA", "-DDPNET_WITH_CUDA"]
    if "9.0a" in os.environ.get("TORCH_CUDA_ARCH_LIST", ""):
        definitions.append("-DDPNET_WITH_HOPPER")
    options["extra_compile_args"]["cxx"] += definitions
    options["extra_compile_args"]["nvcc"] = [*common, *definitions]
    return CUDAExtension(f"{package}._C", sources, library_dirs=[str(runtime_folder(cuda_home()))], **options)


def build_command():
    """PyTorch's build_ext, which leaves beside each library the versions that it was built with."""
    import torch
    from torch.utils.cpp_extension import BuildExtension

    class Build(BuildExtension.with_options(use_ninja=True)):
        def run(self) -> None:
            super().run()
            for built in self.extensions:
                facts = {
                    "torch": torch.__version__,
                    "python": sys.version.split()[0],
                    "cuda": torch.version.cuda if any(s.endswith(".cu") for s in built.sources) else None,
                    "architectures": os.environ.get("TORCH_CUDA_ARCH_LIST"),
                }
                Path(self.get_ext_fullpath(built.name)).with_name("_C.json").write_text(json.dumps(facts))

    return Build


def extensions() -> dict:
    """The arguments of `setup` that concern extensions."""
    if not has_compiler():
        print("No C++ compiler found (set CXX): installing without extensions, on eager implementations.")
        return {}
    cuda = wants_cuda()
    if cuda:
        os.environ["CUDA_HOME"] = str(cuda_home())  # before PyTorch's build tools are imported
        os.environ.setdefault("TORCH_CUDA_ARCH_LIST", ARCHITECTURES)
    modules = [module for module in (extension("opticam", False), extension("dpnet", cuda)) if module]
    return {"ext_modules": modules, "cmdclass": {"build_ext": build_command()}}


setup(**extensions(), options={"bdist_wheel": {"py_limited_api": "cp310"}})
