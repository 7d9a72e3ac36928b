import numpy as np
import pytest
import torch
from sklearn.covariance import empirical_covariance, shrunk_covariance
from torch.nn.functional import normalize

from dpnet.model.initialisation import initialise_classifier, initialise_parts
from dpnet.model.part_layer import PartClassifier
from dpnet.model.regions import RegionScheme


def clustered(classes=3, dim=10):
    """Two directions a class, each in half of the cells, and a cell that all classes share."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.eye(dim)[: 2 * classes].unflatten(0, (classes, 2))
    labels = torch.arange(8 * classes) % classes
    maps = directions[labels][:, torch.arange(9) % 2].transpose(1, 2).clone()
    maps[:, :, 8] = torch.eye(dim)[-1]
    maps = maps + 0.02 * torch.randn(maps.shape, generator=generator)
    return maps.unflatten(2, (3, 3)), labels, directions


@pytest.mark.parametrize("method", ["random", "class_regions", "kmeans", "discriminative"])
def test_parts_are_unit_vectors_and_depend_on_the_seed_only(method):
    features, labels, _ = clustered()
    model = PartClassifier(10, 3, parts_per_class=3)

    def parts(seed):
        initialise_parts(model, method, features, labels, seed=seed)
        return model.parts.detach().clone()

    torch.testing.assert_close(parts(0).norm(dim=1), torch.ones(9))
    assert torch.equal(parts(0), parts(0)) and not torch.equal(parts(0), parts(1))


@pytest.mark.parametrize("scheme", [RegionScheme(), RegionScheme("squares")], ids=lambda s: s.name)
def test_class_regions_are_regions_of_the_owner(scheme):
    features, labels, _ = clustered()
    model = PartClassifier(10, 3, parts_per_class=4, scheme=scheme)
    initialise_parts(model, "class_regions", features, labels)
    for part, owner in zip(model.parts.detach(), model.owner):
        regions = scheme(features[labels == owner]).flatten(0, 1)
        assert (regions @ part).max() == pytest.approx(1, abs=1e-5)


def test_kmeans_finds_the_directions_of_the_class_and_the_shared_one():
    features, labels, directions = clustered()
    model = PartClassifier(10, 3, parts_per_class=3)
    initialise_parts(model, "kmeans", features, labels)
    for own, found in zip(directions, model.parts.detach().unflatten(0, (3, 3))):
        wanted = torch.cat([own, torch.eye(10)[-1:]])
        assert ((wanted @ found.T).amax(dim=1) > 0.98).all()


def test_discriminative_parts_leave_out_what_classes_share():
    features, labels, _ = clustered()
    model = PartClassifier(10, 3, parts_per_class=2)
    initialise_parts(model, "discriminative", features, labels)
    bag = model(features).bag_of_parts.unflatten(1, (3, 2))
    own = bag[torch.arange(len(labels)), labels]
    others = torch.stack([bag[torch.arange(len(labels)), (labels + shift) % 3] for shift in (1, 2)])
    assert own.min() > others.max() + 0.3
    assert (model.parts[:, -1].abs() < 0.5).all()


def test_discriminative_parts_are_those_whose_best_response_separates_most():
    """By scikit-learn's covariance and loops over candidates; these are all 3 q regions of each class."""
    generator = torch.Generator().manual_seed(3)
    features, labels = torch.randn(12, 4, 1, 3, generator=generator).double(), torch.arange(12) % 2
    features[labels == 1] += 1.0
    model = PartClassifier(4, 2, parts_per_class=6, scheme=RegionScheme(x_norm="none")).double()
    initialise_parts(model, "discriminative", features, labels)
    classes = [features[labels == label, :, 0].transpose(1, 2).numpy() for label in (0, 1)]
    rows = [images.reshape(18, 4) for images in classes]
    within = empirical_covariance(np.concatenate([own - own.mean(0) for own in rows]), assume_centered=True)
    whitening = np.linalg.inv(shrunk_covariance(within, shrinkage=0.1))
    for label, own in enumerate(rows):
        directions = (own - np.concatenate(rows).mean(0)) @ whitening
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        best = [
            [np.mean([max(image @ direction) for image in images]) for images in classes]
            for direction in directions
        ]
        margins = [response[label] - response[1 - label] for response in best]
        expected = directions[np.argsort(margins)[::-1][:6]]
        np.testing.assert_allclose(model.parts.detach()[model.owner == label], expected, rtol=0, atol=1e-12)


def test_random_parts_are_unit_gaussians_drawn_in_float64():
    model = PartClassifier(9, 3, parts_per_class=2)
    initialise_parts(model, "random", seed=7)
    drawn = torch.randn(6, 9, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert torch.equal(model.parts.detach(), normalize(drawn, dim=1).float())


@pytest.mark.parametrize(("options", "most"), [({}, 64), ({"images_per_class": 5}, 5)])
def test_so_many_images_of_a_class_are_read_and_no_more(options, most):
    features, labels, read = torch.randn(210, 10, 3, 3), torch.arange(210) % 3, []

    class Recorded:
        def __len__(self):
            return len(features)

        def __getitem__(self, indices):
            read.append(indices)
            return features[indices]

    initialise_parts(PartClassifier(10, 3, parts_per_class=2), "class_regions", Recorded(), labels, **options)
    assert [labels[indices].unique().tolist() for indices in read] == [[0], [1], [2]]
    assert [len(indices.unique()) for indices in read] == [most] * 3


def test_classifier_patterns():
    model = PartClassifier(5, 3, parts_per_class=2)
    initialise_classifier(model, "own_minus_half")
    assert model.classifier.weight[1].tolist() == [-0.5, -0.5, 1, 1, -0.5, -0.5]
    assert model.classifier.bias.tolist() == [0, 0, 0]
    initialise_classifier(model, "own_zero")
    assert model.classifier.weight[2].tolist() == [0, 0, 0, 0, 1, 1]
    initialise_classifier(model, "default")
    assert 0 < model.classifier.weight.abs().max() <= 6**-0.5


def test_few_regions_are_repeated():
    model = PartClassifier(4, 2, parts_per_class=5)
    features = normalize(torch.rand(2, 4, 1, 2), dim=1)
    for method in ("class_regions", "kmeans", "discriminative"):
        initialise_parts(model, method, features, torch.tensor([0, 1]))
        assert model.parts.isfinite().all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda model: initialise_parts(model, "svd"), "method is 'svd'"),
        (lambda model: initialise_parts(model, "kmeans"), "needs features and labels"),
        (
            lambda model: initialise_parts(model, "kmeans", torch.rand(2, 5, 2, 2), torch.tensor([0, 2])),
            "class 1 has no training image",
        ),
        (lambda model: initialise_classifier(model, "ones"), "method is 'ones'"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(PartClassifier(5, 3, parts_per_class=2))
