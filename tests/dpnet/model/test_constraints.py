import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import entropy as entropy_of

from dpnet.model.constraints import (
    assignment,
    assignment_balance,
    class_specificity,
    orthogonality,
    own_class_mask,
)
from dpnet.model.evaluation import off_class_mass, rms_cosine
from dpnet.similarity import part_similarity


def printed_orthogonality(parts):
    """The slide's double sum without its minus, term by term."""
    unit = parts / parts.norm(dim=1, keepdim=True)
    count = len(parts)
    total = sum(float(unit[i] @ unit[j]) ** 2 for i in range(count) for j in range(count) if i != j)
    return total / count**2


def descend(parameter, loss, steps=200, learning_rate=0.05):
    optimiser = torch.optim.Adam([parameter], lr=learning_rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(parameter).backward()
        optimiser.step()


@given(num_parts=st.integers(2, 9), dim=st.integers(2, 9), seed=st.integers(0, 999))
def test_orthogonality_is_the_double_sum_whichever_gram_matrix_is_smaller(num_parts, dim, seed):
    parts = torch.randn(num_parts, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert orthogonality(parts).item() == pytest.approx(printed_orthogonality(parts), abs=1e-12)


def test_orthogonality_is_zero_for_orthonormal_and_greatest_for_identical_parts():
    orthonormal = torch.linalg.qr(torch.randn(11, 7, dtype=torch.float64)).Q.T
    assert orthogonality(orthonormal).item() == pytest.approx(0, abs=1e-12)
    identical = torch.randn(1, 7, dtype=torch.float64).repeat(5, 1)
    assert orthogonality(identical).item() == pytest.approx(4 / 5)


def test_orthogonality_does_not_see_the_length_of_parts():
    parts = torch.randn(6, 5, dtype=torch.float64)
    lengths = torch.rand(6, 1, dtype=torch.float64) * 9 + 0.1
    torch.testing.assert_close(orthogonality(lengths * parts), orthogonality(parts))


def test_descending_orthogonality_reaches_the_welch_bound_and_its_negative_collapses_parts():
    torch.manual_seed(0)
    start = torch.randn(20, 16)
    apart, together = start.clone().requires_grad_(), start.clone().requires_grad_()
    descend(apart, orthogonality)
    descend(together, lambda parts: -orthogonality(parts))
    assert orthogonality(apart).item() == pytest.approx((20 - 16) / (16 * 20), rel=0.01)
    assert rms_cosine(apart) < 0.5 * rms_cosine(start)
    assert rms_cosine(together) > 0.99


def test_assignment_is_r_ln_p_for_equal_scores_and_zero_for_one_hot():
    parts = torch.eye(5, 8, dtype=torch.float64)
    equal = torch.zeros(3, 7, 8, dtype=torch.float64)
    entropy = part_similarity(parts, equal, temperature=1.0, backend="eager")[2]
    assert assignment(entropy, "sum").item() == pytest.approx(7 * math.log(5))
    assert assignment(entropy).item() == pytest.approx(math.log(5))
    one_hot = 1e3 * parts[torch.randint(5, (3, 7))]
    entropy = part_similarity(parts, one_hot, temperature=1.0, backend="eager")[2]
    assert assignment(entropy, "sum").item() == pytest.approx(0, abs=1e-9)
    assert assignment(entropy[:0]) == assignment(entropy[:0], "sum") == 0


def test_descending_assignment_lowers_the_entropy():
    torch.manual_seed(0)
    regions = torch.nn.functional.normalize(torch.randn(4, 9, 13), dim=-1)

    def entropy(parts):
        unit = torch.nn.functional.normalize(parts, dim=1)
        return assignment(part_similarity(unit, regions, temperature=0.1, backend="eager")[2])

    parts = torch.randn(6, 13, requires_grad=True)
    before = entropy(parts).item()
    descend(parts, entropy)
    assert entropy(parts).item() < 0.7 * before


def test_without_temperature_the_entropy_of_unit_vectors_is_inert():
    unit = torch.nn.functional.normalize(torch.randn(670, 64).double(), dim=1)
    regions = torch.nn.functional.normalize(torch.randn(2, 9, 64).double(), dim=-1)
    entropy = part_similarity(unit, regions, temperature=1.0, backend="eager")[2]
    assert entropy.min() > 6.4949 and entropy.max() <= math.log(670) + 1e-9


def test_balance_is_zero_when_all_parts_are_used_equally_and_ln_p_when_one_is():
    equal = 50.0 * torch.eye(6)[None]
    one = torch.zeros(1, 6, 9)
    one[:, 2] = 50.0
    assert assignment_balance(equal, 1.0).item() == pytest.approx(0, abs=1e-5)
    assert assignment_balance(one, 1.0).item() == pytest.approx(math.log(6), abs=1e-5)


def test_balance_is_the_entropy_that_the_average_assignment_lacks():
    """Averaged over 3 images and 7 regions, by SciPy."""
    similarity = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0))
    average = softmax(similarity.double().numpy() / 0.3, axis=1).mean(axis=(0, 2))
    expected = math.log(5) - entropy_of(average)
    assert assignment_balance(similarity, 0.3).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", ["signed", "abs", "square", "nonneg"])
def test_class_specificity_averages_exactly_the_off_class_weights(mode):
    weight = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    transform = {
        "signed": lambda v: v,
        "abs": abs,
        "square": lambda v: v * v,
        "nonneg": lambda v: max(v, 0.0),
    }
    off = [weight[i, j].item() for i in range(4) for j in range(12) if not 3 * i <= j < 3 * i + 3]
    assert len(off) == 12 * (4 - 1)
    value = class_specificity(weight, 3, mode)
    assert value.item() == pytest.approx(sum(map(transform[mode], off)) / len(off))
    value.backward()
    own = own_class_mask(4, 3)
    assert weight.grad[own].abs().max() == 0 and weight.grad[~own].abs().max() > 0


@pytest.mark.parametrize("mode", ["signed", "abs", "square", "nonneg"])
def test_class_specificity_is_zero_for_block_diagonal_weights(mode):
    weight = torch.randn(4, 12) * own_class_mask(4, 3)
    assert class_specificity(weight, 3, mode).item() == 0


@pytest.mark.parametrize("mode", ["abs", "square"])
def test_descending_class_specificity_lowers_the_off_class_mass(mode):
    weight = torch.nn.Linear(15, 5).weight
    before = off_class_mass(weight, 3)
    descend(weight, lambda v: class_specificity(v, 3, mode), learning_rate=0.01)
    assert off_class_mass(weight, 3) < 0.2 * before


def test_the_printed_class_specificity_has_no_lower_bound():
    weight = torch.zeros(3, 6, requires_grad=True)
    descend(weight, lambda v: class_specificity(v, 2, "signed"), steps=200, learning_rate=1.0)
    assert class_specificity(weight, 2, "signed").item() < -100
    assert off_class_mass(weight, 2) == 1.0


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: class_specificity(torch.zeros(3, 6), 2, "l1"), "mode is 'l1'"),
        (lambda: class_specificity(torch.zeros(3, 7), 2), r"expected \[C, 2 \* C\]"),
        (lambda: assignment(torch.zeros(2, 3), "max"), "reduction is 'max'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
