"""What a step of part similarity computes in float64, and whether an implementation computes the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from dpnet.model.constraints import assignment
from reproduce.benchmarks.similarity.rivals import Rival

SIMILARITIES = 2**25
"""In memory at once."""


class Exact(NamedTuple):
    """Float64 results of a batch of B images.

    scores [B,P]; entropies [B,R]; weights [B,P] in float32, of the scores in a loss; of_scores and of_entropy [P,d]:
    gradients in the parts of the weighted sum of the scores, and of the entropies' mean.
    """

    scores: Tensor
    entropies: Tensor
    weights: Tensor
    of_scores: Tensor
    of_entropy: Tensor


def step(
    rival: Rival, parts: Tensor, regions: Tensor, temperature: float | None, weights: Tensor | None
) -> Callable[[], tuple[Tensor | None, ...]]:
    """A call without arguments that runs one forward pass, or with weights [B,P] one with its backward pass.

    The loss is the sum of the weighted scores and, where there is a temperature, the mean entropy. What the call
    gives: scores, argmax and entropies as the rival does, and the gradient in the parts.
    """
    if weights is None:

        def forward() -> tuple[Tensor | None, ...]:
            with torch.no_grad():
                return rival(parts, regions, temperature)

        return forward

    def run() -> tuple[Tensor | None, ...]:
        scores, argmax, entropy = rival(parts, regions, temperature)
        assert scores is not None  # of rivals that can train
        loss = (scores.float() * weights).sum() + (0 if entropy is None else assignment(entropy))
        return scores, argmax, entropy, torch.autograd.grad(loss, parts)[0]

    return run


def exact_results(parts: Tensor, regions: Tensor, temperature: float, tolerance: float) -> Exact:
    """Of parts [P,d] and regions [B,R,d], R > 1; some images at a time.

    tolerance: how far an implementation's score may lie from the exact one. Where the best region is not ahead by
    twice as much, another may be found, whose gradient is another: there the weight is 0. Other weights are random,
    so large that neither gradient hides the other.
    """
    own = parts.detach().double().requires_grad_()
    unit = normalize(own, dim=1)
    leaf = unit.detach().requires_grad_()
    of_scores, of_entropy = torch.zeros_like(leaf), torch.zeros_like(leaf)
    kept = []
    images, count, _ = regions.shape
    for some in regions.split(max(1, SIMILARITIES // (len(parts) * count))):
        product = (leaf @ some.flatten(0, 1).double().T).view(len(parts), -1, count)
        score = product.amax(dim=2).T
        entropy = torch.special.entr((product / temperature).softmax(dim=0)).sum(dim=0)
        best, second = product.detach().topk(2, dim=2).values.unbind(2)
        weight = torch.rand_like(best.T) * (best - second > 2 * tolerance).T
        of_scores += torch.autograd.grad((score * weight).sum(), leaf, retain_graph=True)[0]
        of_entropy += torch.autograd.grad(entropy.sum() / (images * count), leaf)[0]
        kept.append((score.detach(), entropy.detach(), weight))
    scores, entropies, weights = map(torch.cat, zip(*kept))
    of_scores, of_entropy = (
        torch.autograd.grad(unit, own, way, retain_graph=True)[0] for way in (of_scores, of_entropy)
    )
    share = of_entropy.abs().max() / of_scores.abs().max().clamp(min=1e-30)
    return Exact(scores, entropies, (share * weights).float(), share * of_scores, of_entropy)


def check(
    rival: Rival,
    parts: Tensor,
    regions: Tensor,
    temperature: float | None,
    train: bool,
    exact: Exact,
    tolerance: float,
) -> float:
    """The largest error of the scores in one step; raises ValueError where anything that it gives is off.

    Entropies err by as much as similarities divided by the temperature do, and gradients by as much of their largest
    entry. Instead of the scores that a rival does not give, those at its argmax are compared.
    """
    weights = exact.weights if train else None
    scores, argmax, entropy, *gradients = step(rival, parts, regions, temperature, weights)()
    if scores is None:
        assert argmax is not None  # there is one of the two
        scores = _scores_at(argmax, parts.detach(), regions)
    wide = tolerance / (temperature or 1.0)
    compared = [("scores", scores, exact.scores, tolerance)]
    if temperature:
        assert entropy is not None
        compared.append(("entropies", entropy, exact.entropies, wide))
    for gradient in gradients:
        assert gradient is not None
        expected = exact.of_scores + (exact.of_entropy if temperature else 0)
        compared.append(("gradients", gradient, expected, wide * expected.abs().max().item()))
    errors = {}
    for name, found, expected, allowed in compared:
        errors[name] = (found.detach().double() - expected).abs().max().item()
        if not errors[name] <= allowed:
            raise ValueError(f"{name} are off by {errors[name]}, more than {allowed}")
    return errors["scores"]


def _scores_at(argmax: Tensor, parts: Tensor, regions: Tensor) -> Tensor:
    unit = normalize(parts.double(), dim=1)
    found = [
        (unit @ image.double().T).gather(1, chosen.long()[:, None])[:, 0]
        for image, chosen in zip(regions, argmax)
    ]
    return torch.stack(found)
