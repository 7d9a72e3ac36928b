"""Instructions read from kernels that Triton compiles, whose accesses are known."""

import pytest

from reproduce.benchmarks.sass import read_sass

triton = pytest.importorskip("triton", reason="Triton is not installed on this platform")

import triton.language as tl  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402


@triton.jit
def copy_kernel(source, target):
    at = tl.arange(0, 1024)
    tl.store(target + at, tl.load(source + at))


@triton.jit
def product_kernel(left, right, product):
    row, column = tl.arange(0, 64)[:, None], tl.arange(0, 64)[None, :]
    at = row * 64 + column
    tl.store(product + at, tl.dot(tl.load(left + at), tl.load(right + at)))


def compiled(kernel, pointers, sm, aligned, path):
    """The kernel for pointers to multiples of 16 bytes, or to anywhere, as 4 warps; read back from `path`."""
    signature = dict(zip(kernel.arg_names, pointers))
    facts = {(i,): [["tt.divisibility", 16]] for i in range(len(pointers))} if aligned else None
    source = triton.compiler.ASTSource(kernel, signature, attrs=facts)
    target = GPUTarget("cuda", sm, 32)
    path.write_bytes(triton.compile(source, target=target, options={"num_warps": 4}).asm["cubin"])
    return read_sass(path)[kernel.__name__]


@pytest.mark.parametrize("sm", [80, 90, 100])
@pytest.mark.parametrize(("dtype", "bits"), [("fp32", 32), ("bf16", 16)])
def test_a_copy_is_as_wide_as_its_addresses_allow(tmp_path, sm, dtype, bits):
    """1024 numbers by 128 threads, 8 each: in 16 bytes of aligned addresses, one by one of others."""
    for aligned, expected in ((True, {128: 8 * bits // 128}), (False, {bits: 8})):
        copy = compiled(copy_kernel, ["*" + dtype] * 2, sm, aligned, tmp_path / "copy.cubin")
        assert (copy.loads, copy.stores) == (expected, expected)
        assert copy.tensor_core == 0


@pytest.mark.parametrize("sm", [80, 90, 100])
def test_a_product_of_half_precision_is_the_tensor_cores(tmp_path, sm):
    product = compiled(product_kernel, ["*bf16", "*bf16", "*fp32"], sm, True, tmp_path / "product.cubin")
    assert product.tensor_core > 0
