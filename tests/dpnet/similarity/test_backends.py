"""What "auto" takes on the CPU."""

import pytest
import torch

from dpnet.similarity import cpu
from dpnet.similarity.backends import gives_gradient, select_backend

pytestmark = pytest.mark.skipif(bool(cpu.obstacle("cpu", torch.float32)), reason="dpnet._C is not built here")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("depth", [128, 1280])
def test_products_are_taken_where_the_processor_multiplies_bfloat16(monkeypatch, native, dtype, depth):
    """Nobody but PyTorch uses AVX512-BF16 and AMX, which are faster than whole numbers where rows are long."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    parts, regions = torch.randn(6, depth), torch.randn(2, 9, depth, dtype=dtype)
    plain = native and dtype == torch.bfloat16 and depth == 1280
    assert select_backend("auto", parts, regions) == ("chunked" if plain else "cpp")
    assert gives_gradient("auto", parts, regions)
    assert select_backend("cpp", parts, regions) == "cpp"
