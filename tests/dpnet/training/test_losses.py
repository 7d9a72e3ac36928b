"""The terms of the training loss, in NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from dpnet.model.part_layer import PartClassifier
from dpnet.training.losses import batch_loss
from dpnet.training.settings import ConstraintWeights, TrainingSettings

OF_OTHERS = np.kron(np.eye(3), np.ones(2)) == 0


@pytest.mark.parametrize(("mode", "size"), [("abs", np.abs), ("square", np.square)])
def test_each_constraint_counts_by_its_weight_in_its_mode_and_at_the_model_s_temperature(mode, size):
    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(50, 6, 3, 3, generator=generator).double(), torch.arange(50) % 3
    torch.manual_seed(0)
    model = PartClassifier(6, 3, parts_per_class=2, temperature=0.3).double()
    weights = ConstraintWeights(0.9, 0.5, 3.0, balance=0.7, class_specificity_mode=mode)
    loss, terms = batch_loss(model, model, features, labels, TrainingSettings(constraints=weights), 1.0)

    unit = model.parts.detach().numpy() / np.linalg.norm(model.parts.detach().numpy(), axis=1)[:, None]
    shares = softmax(model.similarity(features).detach().numpy() / 0.3, axis=1)
    expected = {
        "cross_entropy": -log_softmax(model(features).logits.detach(), axis=1)[range(50), labels].mean(),
        "orthogonality": 0.9 * (np.square(unit @ unit.T).sum() - 6) / 36,
        "assignment": 0.5 * entropy(shares, axis=1).mean(),
        "class_specificity": 3.0 * size(model.classifier.weight.detach().numpy())[OF_OTHERS].mean(),
        "balance": 0.7 * (np.log(6) - entropy(shares.mean(axis=(0, 2)))),
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)
    assert loss.item() == pytest.approx(sum(expected.values()), rel=1e-5)
