import pytest
import torch

from opticam import OptiCAM
from opticam.saliency.methods import opti_cam
from opticam.saliency.optimisation.captured_ascent import CapturedAscent
from opticam.saliency.optimisation.objectives import OBJECTIVES
from opticam.saliency.targets import ClassScore

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
OPTIONS = {"learning_rate": 0.1, "normalization": "range", "stop_change": None}


@pytest.mark.parametrize("objective", ["Mask", "IODiff"])
def test_restarted_and_padded_batches_equal_fresh_runs(classify, images, targets, objective):
    classifier, images = classify("vgg", torch.float64), images.double()
    features = classifier.features(images)
    options = {"objective": OBJECTIVES[objective]} | OPTIONS
    ascent = CapturedAscent(classifier, features, images, ClassScore(targets), capture=False, **options)
    for rows in (slice(0, 5), slice(1, 3), slice(4, 5)):
        assert ascent.fits(features[rows], images[rows])
        ascent.restart(features[rows], images[rows], targets[rows])
        for _ in range(8):
            ascent.step()
        found = ascent.maps(ascent.logits_u)[: len(images[rows])]
        method = OptiCAM(classifier, iterations=8, objective=objective)
        torch.testing.assert_close(found, method(images[rows], targets[rows]), rtol=0, atol=1e-6)


def test_batches_that_do_not_fit_are_recognised(classify, images, targets):
    classifier = classify("gap")
    features = classifier.features(images)
    options = {"objective": OBJECTIVES["Mask"]} | OPTIONS
    ascent = CapturedAscent(classifier, features, images, ClassScore(targets), capture=False, **options)
    assert not ascent.fits(features.repeat(2, 1, 1, 1), images.repeat(2, 1, 1, 1))
    assert not ascent.fits(features, images[:, :, :30])
    assert not ascent.fits(features.double(), images)
    with torch.no_grad():
        classifier.network.fc.weight.set_(classifier.network.fc.weight.clone())
    assert not ascent.fits(features, images)


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


def test_the_iteration_is_recorded_unless_it_cannot_be(classify, images, targets, monkeypatch):
    recorded = []

    def without_a_graph(*arguments, **options):
        recorded.append(CapturedAscent(*arguments, capture=False, **options))
        return recorded[-1]

    monkeypatch.setattr(opti_cam, "CapturedAscent", without_a_graph)
    classifier = classify("gap", optimize="exact")
    plain = OptiCAM(classifier, iterations=2, cuda_graph=False)
    expected = plain(images.as_subclass(OnGpu), targets)
    assert recorded == []
    found = OptiCAM(classifier, iterations=2)(images.as_subclass(OnGpu), targets)
    assert len(recorded) == 1
    torch.testing.assert_close(found, expected)
    OptiCAM(classifier, iterations=2)(images.as_subclass(OnGpu), lambda logits: logits[:, 1])
    OptiCAM(classifier, iterations=2)(images, targets)
    assert len(recorded) == 1


@needs_gpu
def test_a_replayed_graph_gives_the_maps_of_plain_steps(classify, images, targets):
    classifier = classify("gap", torch.float64, optimize="exact").cuda()
    images = images.double().cuda()
    captured = OptiCAM(classifier, iterations=10)
    plain = OptiCAM(classifier, iterations=10, cuda_graph=False)
    for rows in (slice(0, 4), slice(2, 5), slice(0, 5)):  # the same size, a partial batch, a larger one
        found, expected = (method(images[rows], targets[rows]) for method in (captured, plain))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@needs_gpu
def test_a_replayed_graph_reads_changed_weights(classify, images, targets):
    classifier, images = classify("gap", torch.float64, optimize="exact").cuda(), images.double().cuda()
    captured = OptiCAM(classifier, iterations=5)
    before = captured(images, targets)
    with torch.no_grad():
        classifier.network.fc.weight.neg_()
    after = captured(images, targets)
    assert (after - before).abs().max() > 1e-3
    plain = OptiCAM(classifier, iterations=5, cuda_graph=False)
    torch.testing.assert_close(after, plain(images, targets), rtol=0, atol=1e-6)
