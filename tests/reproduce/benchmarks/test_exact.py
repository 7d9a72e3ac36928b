"""The check of part similarity: what computes the same passes, an error in anything that is timed does not."""

import pandas as pd
import pytest
from torch.nn.functional import normalize

from reproduce.benchmarks.similarity import __main__ as similarity
from reproduce.benchmarks.similarity.cases import PRECISIONS, TEMPERATURE, Shape, inputs
from reproduce.benchmarks.similarity.exact import check, exact_results
from reproduce.benchmarks.similarity.rivals import FORWARD_ONLY, rivals

SHAPE = Shape("small", 6, 6, 9, 40, 24)
BOTH = [None, TEMPERATURE]


def plain(parts, regions, temperature):
    """The whole batch at once, in the dtype that is given."""
    product = normalize(parts, dim=1).to(regions.dtype) @ regions.mT
    entropy = None
    if temperature:
        shares = (product / temperature).softmax(dim=1)
        entropy = -(shares * shares.log()).sum(dim=1)
    return *product.max(dim=2), entropy


def twice_the_gradient(tensor):
    return 2 * tensor - tensor.detach()


WRONG = {
    "scores": lambda scores, argmax, entropy: (scores + 0.01, argmax, entropy),
    "entropies": lambda scores, argmax, entropy: (scores, argmax, entropy + 0.01),
    "gradients of scores": lambda scores, argmax, entropy: (twice_the_gradient(scores), argmax, entropy),
    "gradients of entropies": lambda scores, argmax, entropy: (scores, argmax, twice_the_gradient(entropy)),
}


@pytest.mark.parametrize("temperature", BOTH)
def test_the_float64_results_are_those_of_autograd_on_the_whole_batch(temperature):
    parts, regions = inputs(SHAPE, PRECISIONS[0], "cpu")
    parts, regions = parts.detach().double().requires_grad_(), regions.double()
    exact = exact_results(parts, regions, TEMPERATURE, 1e-7)
    assert check(plain, parts, regions, temperature, True, exact, 1e-7) < 1e-12
    assert (exact.weights > 0).all()


@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.name)
def test_every_implementation_computes_what_float64_does(precision):
    parts, regions = inputs(SHAPE, precision, "cpu")
    exact = exact_results(parts, regions, TEMPERATURE, precision.tolerance)
    with precision.active():
        for name, rival in rivals("cpu", precision.dtype, False).items():
            for temperature in [None] if name in FORWARD_ONLY else BOTH:
                train = name not in FORWARD_ONLY
                assert check(rival, parts, regions, temperature, train, exact, precision.tolerance) >= 0


@pytest.mark.parametrize("name", WRONG)
def test_an_error_in_anything_that_is_timed_is_found(name):
    parts, regions = inputs(SHAPE, PRECISIONS[0], "cpu")
    exact = exact_results(parts, regions, TEMPERATURE, 1e-5)

    def wrong(*given):
        return WRONG[name](*plain(*given))

    with pytest.raises(ValueError, match=f"{name.split()[0]} are off by"):
        check(wrong, parts, regions, TEMPERATURE, True, exact, 1e-5)


def test_a_wrong_region_is_found_where_there_are_no_scores():
    parts, regions = inputs(SHAPE, PRECISIONS[0], "cpu")
    exact = exact_results(parts, regions, TEMPERATURE, 1e-5)

    def found(parts, regions, temperature):
        return None, plain(parts, regions, None)[1].int(), None

    def wrong(parts, regions, temperature):
        return None, (found(parts, regions, None)[1] + 1) % SHAPE.regions, None

    assert check(found, parts, regions, None, False, exact, 1e-5) < 1e-12
    with pytest.raises(ValueError, match="scores are off by"):
        check(wrong, parts, regions, None, False, exact, 1e-5)


def test_a_run_times_nothing_whose_gradient_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(similarity, "SHAPES", (SHAPE,))
    monkeypatch.setattr(similarity, "PRECISIONS", PRECISIONS[:1])
    monkeypatch.setattr("sys.argv", ["similarity", "--seconds", "0.01", "--out", str(tmp_path)])
    monkeypatch.setattr(similarity, "rivals", lambda *_: {"ours (auto)": plain, "eager max": plain})
    similarity.main()
    assert len(pd.read_csv(tmp_path / "similarity_cpu.csv")) == 8  # two sides, four passes

    def wrong(*given):
        return WRONG["gradients of scores"](*plain(*given))

    monkeypatch.setattr(similarity, "rivals", lambda *_: {"ours (auto)": wrong})
    with pytest.raises(ValueError, match="gradients are off by"):
        similarity.main()
