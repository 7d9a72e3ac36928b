"""The registered op against plain PyTorch, backend by backend."""

from __future__ import annotations

import pytest
import torch

from dpnet.similarity import BACKENDS, part_similarity

OP = torch.ops.dpnet.part_similarity.default


def random_inputs(dtype=torch.float64, parts=7, batch=3, regions=4, depth=5):
    generator = torch.Generator().manual_seed(parts + regions + depth)
    u = torch.randn(parts, depth, generator=generator, dtype=torch.float64).to(dtype)
    x = torch.randn(batch, regions, depth, generator=generator, dtype=torch.float64).to(dtype)
    return u.requires_grad_(), x.requires_grad_()


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_agree_with_finite_differences(backend, temperature):
    def differentiable(parts, regions):
        scores, _, entropy = part_similarity(parts, regions, temperature, backend)
        return (scores,) if entropy is None else (scores, entropy)

    assert torch.autograd.gradcheck(differentiable, random_inputs())


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend, dtype, temperature):
    result = torch.library.opcheck(OP, (*random_inputs(dtype), temperature, backend))
    assert set(result.values()) == {"SUCCESS"}
