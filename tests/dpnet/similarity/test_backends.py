"""What "auto" takes on the CPU."""

import pytest
import torch

from dpnet.similarity import cpu
from dpnet.similarity.backends import gives_gradient, select_backend

pytestmark = pytest.mark.skipif(bool(cpu.obstacle("cpu", torch.float32)), reason="dpnet._C is not built here")


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("depth", [128, 1280])
def test_plain_products_are_taken_where_amx_makes_them_fast(monkeypatch, amx, dtype, depth):
    """Nobody but PyTorch uses AMX, which multiplies bfloat16 several times as fast as pairs in AVX-512."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    parts, regions = torch.randn(6, depth), torch.randn(2, 9, depth, dtype=dtype)
    plain = amx and dtype == torch.bfloat16 and depth == 1280
    assert select_backend("auto", parts, regions) == ("chunked" if plain else "cpp")
    assert gives_gradient("auto", parts, regions) != plain
    assert select_backend("cpp", parts, regions) == "cpp"
