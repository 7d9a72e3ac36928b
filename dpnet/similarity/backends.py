"""Which implementation runs: what is available, why not, and what "auto" takes."""

from __future__ import annotations

import torch

from dpnet.similarity import choices, chunked, cpu, cuda, hopper, library, reference

IMPLEMENTATIONS = {"eager": reference, "chunked": chunked, "cpp": cpu, "cuda": cuda, "hopper": hopper}
"""Backend name to the module that holds its `forward` and `backward`, and the `obstacle` to running it."""

ON_GPU = ("cuda", "hopper")
"""Backends that run nowhere else."""

BACKENDS = IMPLEMENTATIONS.keys()
"""Names that `part_similarity` accepts beside "auto"; a module added above is among them."""


def select_backend(
    backend: str,
    parts: torch.Tensor,
    regions: torch.Tensor,
    *,
    with_entropy: bool = False,
    trains: bool = False,
) -> str:
    """The backend that will run these inputs: the one asked for, or the one expected to be fastest of those that can.

    with_entropy: whether entropies are asked for; trains: whether gradients will be. Raises RuntimeError where the
    backend asked for cannot run.
    """
    if backend == "auto":
        if regions.is_cuda:
            return _fastest_on_gpu(parts, regions, with_entropy, trains)
        return _fastest_elsewhere(parts, regions, with_entropy and trains)
    reason = IMPLEMENTATIONS[backend].obstacle(regions.device.type, regions.dtype)
    if reason:
        raise RuntimeError(f"backend {backend!r} cannot run on these inputs: {reason}")
    return backend


def gives_gradient(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether the registered operation can make the entropies' gradient in the forward pass: not on a GPU.

    torch.compile traces this question, and could not trace how a GPU's backend is chosen, from a table.
    """
    if regions.is_cuda:
        return False
    chosen = select_backend(backend, parts, regions, with_entropy=True, trains=True)
    return makes_gradient(chosen, parts, regions)


def makes_gradient(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether the backend of this name can make the entropies' gradient in the forward pass."""
    implementation = IMPLEMENTATIONS[backend]
    return hasattr(implementation, "makes_gradient") and implementation.makes_gradient(parts, regions)


def keeps_similarities(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether the backend of this name can keep its similarities for the way back."""
    implementation = IMPLEMENTATIONS[backend]
    return hasattr(implementation, "keeps") and implementation.keeps(parts, regions)


def backend_report() -> list[dict[str, str]]:
    """One row a backend: its name, "yes" or "no" for whether it can run here, and why not or on what it runs."""
    rows = []
    for name in BACKENDS:
        reason = IMPLEMENTATIONS[name].obstacle("cuda" if name in ON_GPU else "cpu", torch.bfloat16)
        detail = reason or (library.cpu_instructions() if name == "cpp" else "")
        rows.append({"backend": name, "available": "no" if reason else "yes", "detail": detail})
    return rows


def _fastest_elsewhere(parts: torch.Tensor, regions: torch.Tensor, trains_entropy: bool) -> str:
    where = regions.device.type, regions.dtype
    if not cpu.obstacle(*where) and cpu.is_faster(parts, regions, trains_entropy):
        return "cpp"
    return "eager" if chunked.obstacle(*where) else "chunked"


def _fastest_on_gpu(parts: torch.Tensor, regions: torch.Tensor, with_entropy: bool, trains: bool) -> str:
    """What the benchmark's table says; without it, the tile kernel for exact float32, else the library's products."""
    where = regions.device.type, regions.dtype
    if chunked.obstacle(*where):
        return "eager"
    if regions.dtype == torch.float64:
        return "chunked"
    of_float32 = "tf32" if cuda.allows_tf32() else "float32"
    precision = of_float32 if regions.dtype == torch.float32 else "bfloat16"
    way, entropy = "forward + backward" if trains else "forward", "yes" if with_entropy else "no"
    sizes = regions.shape[1], *parts.shape
    capability = ".".join(map(str, library.capability()))
    chosen = choices.fastest(choices.Case(capability, precision, way, entropy, *sizes))
    if (
        chosen == "eager"
        and regions.element_size() * len(regions) * sizes[0] * sizes[1] > choices.LARGEST_EAGER
    ):
        chosen = "chunked"
    if chosen is None or IMPLEMENTATIONS[chosen].obstacle(*where):
        return "cuda" if precision == "float32" else "chunked"
    return chosen
