"""The operations of the compiled library called directly, past the checks of `part_similarity`."""

from __future__ import annotations

import pytest
import torch

from dpnet.similarity import library

pytestmark = pytest.mark.skipif(bool(library.LOAD_ERROR), reason="dpnet._C is not built here")
KERNELS = torch.ops.dpnet_kernels
PARTS, REGIONS, TEMPERATURE, WORKSPACE = torch.rand(6, 7), torch.rand(3, 4, 7), 0.5, 1 << 20
SCORES, ENTROPY, ARGMAX = torch.rand(3, 6), torch.rand(3, 4), torch.zeros(3, 6, dtype=torch.int32)
FORWARD = {
    "forward": (PARTS, REGIONS, TEMPERATURE, False),
    "forward_gradient": (PARTS, REGIONS, TEMPERATURE, False),
    "chunked_forward": (PARTS, REGIONS, TEMPERATURE, WORKSPACE),
    "chunked_forward_gradient": (PARTS, REGIONS, TEMPERATURE, WORKSPACE, 1.0),
    "chunked_forward_keeping": (PARTS, REGIONS, TEMPERATURE, WORKSPACE),
}
FOUND = PARTS, REGIONS, ARGMAX, ENTROPY, ENTROPY, TEMPERATURE, True
BACKWARD = {
    "backward_argmax": (SCORES, PARTS, REGIONS, ARGMAX, True),
    "join_argmax_": (PARTS.clone(), 0.5, SCORES, PARTS, REGIONS, ARGMAX),
    "backward_entropy": (SCORES, ENTROPY, *FOUND),
    "chunked_backward": (SCORES, ENTROPY, *FOUND, WORKSPACE, torch.rand(12, 8), None),
}


CALLS = FORWARD | BACKWARD
each_call = pytest.mark.parametrize(("name", "given"), CALLS.items(), ids=CALLS)


def with_another(given, change):
    """Each of the tensors, and the arguments with that one changed."""
    for place, tensor in enumerate(given):
        if torch.is_tensor(tensor):
            yield tensor, (*given[:place], change(tensor), *given[place + 1 :])


ANY_OTHER = {
    "of more columns": lambda tensor: torch.cat([tensor, tensor], -1),
    "empty": lambda tensor: tensor[..., :0],
    "of an axis less": lambda tensor: tensor[0],
    "of an axis more": lambda tensor: tensor[None],
    "of whole numbers": lambda tensor: tensor.byte(),
    "in float64 alone": lambda tensor: tensor.double(),
}
OTHER_THAN_THE_REST = ANY_OTHER | {
    "of a row less": lambda tensor: tensor[:-1],
    "of more rows": lambda tensor: torch.cat([tensor, tensor]),
}


@each_call
def test_tensors_that_do_not_fit_are_refused(name, given):
    getattr(KERNELS, name)(*given)
    changes = ANY_OTHER if name in FORWARD else OTHER_THAN_THE_REST
    for change in changes.values():
        for _, changed in with_another(given, change):
            with pytest.raises(RuntimeError, match=r"expected|not the similarities of all"):
                getattr(KERNELS, name)(*changed)


@each_call
def test_rows_apart_in_memory_are_refused_but_those_of_regions(name, given):
    for tensor, changed in with_another(given, lambda one: torch.cat([one, one], -1)[..., : one.shape[-1]]):
        if tensor is REGIONS:
            getattr(KERNELS, name)(*changed)
            continue
        with pytest.raises(RuntimeError, match=r"expected.* contiguous"):
            getattr(KERNELS, name)(*changed)


@pytest.mark.parametrize("region", [-1, 4])
@pytest.mark.parametrize(("name", "given"), BACKWARD.items(), ids=BACKWARD)
def test_an_argmax_beyond_the_regions_is_refused(name, given, region):
    wrong = ARGMAX.clone()
    wrong[2, 5] = region
    with pytest.raises(RuntimeError, match="argmax: expected numbers of regions"):
        getattr(KERNELS, name)(*(wrong if one is ARGMAX else one for one in given))
