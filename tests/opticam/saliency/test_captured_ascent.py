import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from opticam import OptiCAM
from opticam.saliency.methods import opti_cam
from opticam.saliency.optimisation.ascent import Ascent
from opticam.saliency.optimisation.captured_ascent import CapturedAscent
from opticam.saliency.optimisation.objectives import OBJECTIVES
from opticam.saliency.targets import ClassScore

OPTIONS = {"learning_rate": 0.1, "normalization": "range", "stop_change": None}


@pytest.mark.parametrize("objective", ["Mask", "IODiff"])
def test_restarted_and_padded_batches_equal_fresh_runs(classify, images, targets, objective):
    classifier, images = classify("vgg", torch.float64), images.double()
    features = classifier.features(images)
    options = {"objective": OBJECTIVES[objective]} | OPTIONS
    score = ClassScore(targets)
    ascent = CapturedAscent(classifier, features, images, score, capture=False, **options)
    for rows in (slice(0, 5), slice(1, 3), slice(4, 5)):
        assert ascent.fits(features[rows], images[rows], score, **options)
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
    score = ClassScore(targets)
    ascent = CapturedAscent(classifier, features, images, score, capture=False, **options)
    assert not ascent.fits(features.repeat(2, 1, 1, 1), images.repeat(2, 1, 1, 1), score, **options)
    assert not ascent.fits(features, images[:, :, :30], score, **options)
    assert not ascent.fits(features.double(), images, score, **options)


@pytest.mark.parametrize(
    "change", [{"objective": OBJECTIVES["Diff"]}, {"learning_rate": 0.2}, {"stop_change": 1e-10}]
)
def test_a_changed_option_is_recognised(classify, images, targets, change):
    classifier = classify("gap")
    features = classifier.features(images)
    options, score = {"objective": OBJECTIVES["Mask"]} | OPTIONS, ClassScore(targets)
    ascent = CapturedAscent(classifier, features, images, score, capture=False, **options)
    assert ascent.fits(features, images, ClassScore(targets + 1), **options)
    assert not ascent.fits(features, images, score, **(options | change))
    assert not ascent.fits(features, images, ClassScore(targets, "margin"), **options)


def replace_activation(network):
    network.block.relu = nn.GELU()


def replace_buffer(network):
    network.stem[1].running_mean = torch.rand_like(network.stem[1].running_mean)


def add_hook(network):
    network.last.register_forward_hook(lambda module, inputs, output: 2 * output)


@torch.no_grad()
def move_weight(network):
    network.fc.weight.set_(network.fc.weight.clone())


@pytest.mark.parametrize("change", [replace_activation, replace_buffer, add_hook, move_weight])
def test_a_changed_network_is_recognised_and_a_used_one_is_not_changed(classify, images, targets, change):
    classifier = classify("gap", optimize="exact")
    features = classifier.features(images)
    options = {"objective": OBJECTIVES["Mask"]} | OPTIONS
    score = ClassScore(targets)
    ascent = CapturedAscent(classifier, features, images, score, capture=False, **options)
    ascent.step()
    OptiCAM(classifier, iterations=1)(images, targets)
    assert ascent.fits(features, images, score, **options)
    change(classifier.network)
    assert not ascent.fits(features, images, score, **options)


class OnGpu(torch.Tensor):
    """A tensor that says it is on a GPU."""

    is_cuda = True


class OnSecondGpu(OnGpu):
    """A tensor that says it is on the GPU that is not the current one."""

    device = torch.device("cuda", 1)


class TwoGpus:
    """Stands for torch.cuda on a machine with two: which device and stream are current, and what is recorded."""

    PARTS = (
        *("Stream", "CUDAGraph", "device", "stream", "graph", "current_stream", "synchronize"),
        *("set_sync_debug_mode", "get_sync_debug_mode"),
    )

    def __init__(self, monkeypatch):
        self.index, self.place, self.mode, self.recording = 0, (0, "default"), 0, False
        self.used = 0
        self.get_sync_debug_mode = lambda: self.mode
        self.current_stream = lambda: SimpleNamespace(place=self.place)
        self.synchronize = lambda: None
        for name in self.PARTS:
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def set_sync_debug_mode(self, mode):
        """As PyTorch's, which warns of itself the first time."""
        self.mode, self.used = mode, self.used + 1
        if self.used == 1:
            warnings.warn("it is a prototype", stacklevel=1)

    def Stream(self):
        return SimpleNamespace(place=(self.index, "side"), wait_stream=lambda other: None)

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: None)

    @contextmanager
    def device(self, device):
        before, self.index = self.index, device.index or 0
        try:
            yield
        finally:
            self.index = before

    @contextmanager
    def stream(self, stream):
        before, self.place = self.place, stream.place
        try:
            yield
        finally:
            self.place = before

    @contextmanager
    def graph(self, graph, stream):
        """As PyTorch's, which does not go back to the stream before where the recording failed."""
        before, self.place, self.recording = self.place, stream.place, True
        try:
            yield
        finally:
            self.recording = False
        self.place = before

    @property
    def state(self):
        return self.index, self.place, self.mode, self.recording


def test_the_iteration_is_recorded_on_the_device_of_the_tensors(classify, images, targets, monkeypatch):
    classifier = classify("gap", optimize="exact")
    features = classifier.features(images)
    options = {"objective": OBJECTIVES["Mask"]} | OPTIONS
    ascent = CapturedAscent(classifier, features, images, ClassScore(targets), capture=False, **options)
    ascent.images = ascent.images.as_subclass(OnSecondGpu)
    gpus, steps = TwoGpus(monkeypatch), []
    monkeypatch.setattr(Ascent, "step", lambda self: steps.append(gpus.state))
    before = gpus.state
    ascent._capture()
    assert gpus.state == before
    assert {(index, stream) for index, stream, _, _ in steps} == {(1, (1, "side"))}
    assert [recording for *_, recording in steps] == [False] * (len(steps) - 1) + [True]


class Refusing(nn.Module):
    """A layer that cannot be recorded: `how` says whether it reads from the GPU, or fails in its own way."""

    def __init__(self, gpus, how):
        super().__init__()
        self.gpus, self.how, self.recordings = gpus, how, 0

    def forward(self, logits):
        self.recordings += self.gpus.recording
        if self.gpus.recording or (self.how == "waits" and self.gpus.mode == "error"):
            raise RuntimeError("it cannot be recorded")
        return logits


@pytest.mark.parametrize(("how", "recordings"), [("waits", 0), ("fails", 1)])
def test_what_cannot_be_recorded_runs_step_by_step_with_one_warning(
    classify, images, targets, monkeypatch, how, recordings
):
    classifier, gpus = classify("gap", optimize="exact"), TwoGpus(monkeypatch)
    refusing = Refusing(gpus, how)
    classifier.network.fc = nn.Sequential(classifier.network.fc, refusing)
    expected = OptiCAM(classifier, iterations=4)(images, targets)
    before, method = gpus.state, OptiCAM(classifier, iterations=4)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("once")
        found = method(images.as_subclass(OnGpu), targets)
    assert ["(RuntimeError: it cannot be recorded)" in str(warning.message) for warning in told] == [True]
    assert torch.equal(found, expected)
    assert gpus.state == before and refusing.recordings == recordings
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(method(images.as_subclass(OnGpu), targets), expected)
    assert refusing.recordings == recordings


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


def test_a_batch_behind_one_that_stopped_runs_as_if_it_were_the_first(classify, images, targets):
    classifier, images = classify("gap", torch.float64), images.double()
    options = {"objective": OBJECTIVES["Mask"]} | OPTIONS | {"stop_change": 1e-10}
    features, score = classifier.features(images), ClassScore(targets)
    ascent = CapturedAscent(classifier, features, images, score, capture=False, **options)
    steps = []
    for batch in (torch.zeros_like(images), images):  # a masked black image never changes
        ascent.restart(classifier.features(batch), batch, targets)
        for _ in range(8):
            ascent.step()
        steps.append(ascent.steps.tolist())
    assert steps == [[1] * 5, [8] * 5]
