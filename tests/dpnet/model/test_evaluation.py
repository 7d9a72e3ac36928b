"""Figures of a model over batches are those of all images at once."""

import pytest
import torch

from dpnet.model.evaluation import accuracy, interpretability, outputs
from dpnet.model.part_layer import GlobalClassifier, PartClassifier


def maps_and_labels(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(count, 5, 3, 2, generator=generator)
    return features, torch.randint(4, (count,), generator=generator)


def test_accuracy_is_that_of_the_logits_of_all_images():
    features, labels = maps_and_labels(600)
    torch.manual_seed(0)
    parts, baseline = PartClassifier(5, 4, 2), GlobalClassifier(5, 4)
    for model, logits in ((parts, parts(features).logits), (baseline, baseline(features))):
        hits = [row.argmax().item() == label for row, label in zip(logits, labels.tolist())]
        assert accuracy(model, features, labels) == pytest.approx(sum(hits) / 600)


def test_interpretability_is_the_same_from_any_batches():
    features, labels = maps_and_labels(60)
    bounded = features.clone()
    bounded.block_size = 7
    torch.manual_seed(0)
    model = PartClassifier(5, 4, 3)
    whole, found = (interpretability(model, given, labels) for given in (features, bounded))
    assert found == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_left_in_the_mode_that_it_was_in(training):
    model = PartClassifier(5, 4, 2).train(training)
    list(outputs(model, maps_and_labels(3)[0]))
    assert model.training == training
