"""What "auto" takes on the CPU."""

import itertools

import pytest
import torch

from dpnet.similarity import cpu, gradient, ops, part_similarity
from dpnet.similarity.backends import gives_gradient, select_backend

pytestmark = pytest.mark.skipif(bool(cpu.obstacle("cpu", torch.float32)), reason="dpnet._C is not built here")


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("depth", [128, 512, 1280])
def test_products_are_taken_where_the_processor_multiplies_bfloat16(monkeypatch, native, dtype, depth):
    """Nobody but PyTorch uses AVX512-BF16 and AMX, which are faster than whole numbers where rows are long."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    parts, regions = torch.randn(6, depth), torch.randn(2, 9, depth, dtype=dtype)
    can = native and dtype == torch.bfloat16
    for with_entropy, trains in itertools.product((False, True), repeat=2):
        chosen = select_backend("auto", parts, regions, with_entropy=with_entropy, trains=trains)
        pays = depth == 1280 or (depth == 512 and with_entropy and trains)
        assert chosen == ("chunked" if can and pays else "cpp")
    assert gives_gradient("auto", parts, regions)
    assert select_backend("cpp", parts, regions) == "cpp"


@pytest.mark.parametrize("regions_too", [False, True])
@pytest.mark.parametrize("temperature", [None, 0.1])
def test_compiled_code_asks_for_the_same_backend_on_both_ways(monkeypatch, temperature, regions_too):
    """What "auto" takes may depend on entropies and gradients, so whoever chooses must know of them."""
    asked = []

    def select(*arguments, **facts):
        asked.append(facts)
        return select_backend(*arguments, **facts)

    monkeypatch.setattr(ops, "select_backend", select)
    monkeypatch.setattr(gradient, "select_backend", select)
    parts, regions = torch.randn(6, 8, requires_grad=True), torch.randn(2, 9, 8, requires_grad=regions_too)
    scores, _, entropy = torch.compile(part_similarity, fullgraph=True, backend="aot_eager")(
        parts, regions, temperature
    )
    (scores.sum() + (0 if entropy is None else entropy.mean())).backward()
    assert asked == [{"with_entropy": temperature is not None, "trains": True}] * 2
    with torch.no_grad():
        torch.compile(part_similarity, fullgraph=True, backend="aot_eager")(parts, regions, temperature)
    assert asked[2:] == [{"with_entropy": temperature is not None, "trains": False}]
