import copy
import pickle
import threading
from types import SimpleNamespace

import pytest
import timm
import torch
import torchvision
from tolerances import assert_as_accurate, without_kinks
from torch import fx, nn

from opticam import Classifier, GradCAM
from opticam.acceleration.folding import convolution_batch_norm_pairs, fold_batch_norms
from opticam.acceleration.prepared_network import LOGIT_TOLERANCE, fingerprint, prepare

TERMS = 9 * 512  # of the ResNet's longest sum, in its last convolutions


def randomised(network):
    torch.manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def small_resnet():
    torch.manual_seed(4)
    return without_kinks(randomised(torchvision.models.resnet18(num_classes=9)))


def images(batch=3):
    return torch.rand(batch, 3, 41, 45, generator=torch.Generator().manual_seed(1))


class Forked(nn.Module):
    """Its first convolution feeds two layers, its last batch norm runs twice."""

    def __init__(self):
        super().__init__()
        self.fork, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.twice, self.shared = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.head = nn.Sequential(
            nn.Conv2d(4, 5, 1), nn.BatchNorm2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

    def forward(self, images):
        maps = self.fork(images)
        maps = self.norm(maps) + maps
        return self.head(self.shared(self.twice(maps)) + self.shared(maps))


class Branching(nn.Module):
    """Its control flow depends on the pixels, so it cannot be traced."""

    def __init__(self):
        super().__init__()
        first = (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.trunk = nn.Sequential(*first, nn.Conv2d(4, 4, 1))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

    def forward(self, images):
        return self.head(self.trunk(images)) * (1 if images.sum() > 0 else 2)


class Undecided(nn.Module):
    """What cannot be traced is a part alone."""

    def __init__(self):
        super().__init__()
        self.trunk, self.part = torchvision.models.resnet18(num_classes=5), Branching()

    def forward(self, images):
        return self.trunk(images) + self.part(images)


class Exits(nn.Module):
    """Light pictures go through the batch norm, dark ones past it; both read parts of its stem one by one."""

    def __init__(self, whole):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
        self.whole = whole

    def forward(self, images):
        if images.mean() > 0:
            return self.head(self.stem(images) if self.whole else self.stem[1:](self.stem[0](images)))
        return self.head(self.stem[3](self.stem[0](images)))


@pytest.mark.parametrize(
    ("name", "pairs"),
    [("resnet50", 53), ("vgg16_bn", 13), ("mobilenet_v2", 52), ("densenet121", 59), ("squeezenet1_1", 0)],
)
def test_every_batch_norm_behind_one_convolution_is_found(name, pairs):
    with torch.device("meta"):
        network = torchvision.models.get_model(name).eval()
    assert len(convolution_batch_norm_pairs(network)) == pairs


@pytest.mark.parametrize(("name", "pairs"), [("tf_efficientnet_lite0", 49), ("mobilenetv3_small_050", 34)])
def test_batch_norms_of_timm_with_an_activation_inside_are_found(name, pairs):
    with torch.device("meta"):
        network = timm.create_model(name).eval()
    assert len(convolution_batch_norm_pairs(network)) == pairs
    assert pairs == sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def outputs_of(network, layers, pixels):
    found = {}
    hooks = [
        network.get_submodule(layer).register_forward_hook(
            lambda module, inputs, output, layer=layer: found.update({layer: output.clone()})
        )
        for layer in layers
    ]
    network(pixels)
    for hook in hooks:
        hook.remove()
    return found


def test_what_a_folded_batch_norm_did_beside_keeps_its_names_and_values():
    network = randomised(timm.create_model("tf_efficientnet_lite0", num_classes=5)).double()
    layers, pixels = ("blocks.0.0.bn1", "blocks.0.0.bn1.act", "blocks.2.1.bn3", "bn2"), images().double()
    before = outputs_of(network, layers, pixels)
    assert fold_batch_norms(network) == 49
    after = outputs_of(network, layers, pixels)
    for layer in layers:
        torch.testing.assert_close(after[layer], before[layer], rtol=1e-9, atol=1e-9)


def test_shared_and_forked_layers_are_left_alone():
    assert convolution_batch_norm_pairs(Forked().eval()) == [("head.0", "head.1")]


def test_nothing_is_found_below_code_that_cannot_be_traced():
    with torch.device("meta"):
        pairs = convolution_batch_norm_pairs(Undecided().eval())
    assert len(pairs) == 20 and ("trunk.conv1", "trunk.bn1") in pairs
    assert convolution_batch_norm_pairs(Branching().eval()) == []


class WithOptions(nn.Module):
    """Its code asks for what is not given in use."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, labels=None, **options):
        logits = self.network(images)
        return {"logits": logits} if labels is None else {"logits": logits, "labels": labels.long()}


@pytest.mark.parametrize("wrap", [nn.DataParallel, WithOptions, lambda n: WithOptions(nn.DataParallel(n))])
def test_what_is_inside_wrappers_is_found(wrap):
    with torch.device("meta"):
        network = torchvision.models.resnet18().eval()
    assert len(convolution_batch_norm_pairs(wrap(network))) == 20


@pytest.mark.parametrize("whole", [True, False])
def test_a_convolution_that_also_runs_without_its_batch_norm_is_left_alone(whole):
    network = randomised(Exits(whole)).double()
    fast = Classifier(network, "stem.3", mean=0.5, std=1)
    for shade in (0.9, 0.1):
        pixels = torch.full((2, 3, 16, 16), shade, dtype=torch.float64)
        torch.testing.assert_close(fast(pixels), network(pixels - 0.5))
    assert fast.in_effect.level == "fast"


class Meanwhile(nn.Module):
    """Does something in the middle of being traced."""

    def __init__(self, do):
        super().__init__()
        self.do = do

    def forward(self, images):
        if isinstance(images, fx.Proxy):
            self.do()
        return images


class Given(nn.Module):
    """Reads its parameter itself, and runs a module."""

    def __init__(self):
        super().__init__()
        self.weight, self.last = nn.Parameter(torch.eye(3)), nn.Linear(3, 2)

    def forward(self, inputs):
        return self.last(inputs @ self.weight)


def test_other_threads_run_their_networks_while_one_is_traced():
    own, inputs, found = Given(), torch.rand(4, 3), []
    expected = own(inputs)

    def run_in_a_thread():
        thread = threading.Thread(target=lambda: found.append(own(inputs)))
        thread.start()
        thread.join()

    convolution_batch_norm_pairs(Meanwhile(run_in_a_thread))
    assert len(found) == 1 and torch.equal(found[0], expected)


def test_modules_are_called_as_before_after_two_threads_have_traced():
    """Where the second trace begins within the first and ends behind it."""
    call, get = nn.Module.__call__, nn.Module.__getattr__
    second_began, first_ended = threading.Event(), threading.Event()

    def second():
        convolution_batch_norm_pairs(Meanwhile(lambda: (second_began.set(), first_ended.wait(60))))

    thread = threading.Thread(target=second)

    def begin_the_second():
        thread.start()
        second_began.wait(0.5)  # in vain: one trace at a time

    try:
        convolution_batch_norm_pairs(Meanwhile(begin_the_second))
        first_ended.set()
        thread.join()
        assert second_began.is_set() and nn.Module.__call__ is call
    finally:
        nn.Module.__call__, nn.Module.__getattr__ = call, get


def small_lite():
    return timm.create_model("tf_efficientnet_lite0", num_classes=5)


@pytest.mark.parametrize("network", [small_resnet, small_lite, Forked, Undecided])
def test_folding_changes_no_logit(network):
    network = randomised(network()).double()
    pixels = images().double()
    expected = network(pixels)
    assert fold_batch_norms(network) > 0
    torch.testing.assert_close(network(pixels), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer", ["layer4.1.conv2", "layer4.1.bn2", "layer4.1", "layer3.0.conv1"])
def test_the_target_layer_keeps_its_output_and_gradient(layer):
    network = small_resnet()
    exact, fast = (Classifier(network, layer, optimize=level) for level in ("exact", "fast"))

    def score(logits):
        return logits[:, 2]

    wide = exact.in_float64().gradients(images().double(), score)
    for results in zip(fast.gradients(images(), score), exact.gradients(images(), score), wide):
        assert_as_accurate(*results, TERMS)
    assert fast.in_effect.level == "fast"
    assert fast.in_effect.difference <= LOGIT_TOLERANCE


def test_further_layers_are_read_unfolded():
    network = small_resnet()
    exact, fast = (Classifier(network, optimize=level) for level in ("exact", "fast"))
    fast(images())
    layers = ["layer1.0.conv1", network.layer2]
    wide = exact.in_float64().features_of(images().double(), ["layer1.0.conv1", "layer2"])[0]
    for maps in zip(fast.features_of(images(), layers)[0], exact.features_of(images(), layers)[0], wide):
        assert_as_accurate(*maps, TERMS)


def test_the_users_network_is_not_touched():
    network = small_resnet().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    classifier = Classifier(network)
    classifier(images())
    assert classifier.in_effect.level == "fast"
    assert network.training
    assert network.conv1.weight.is_contiguous()
    assert isinstance(network.bn1, nn.BatchNorm2d)
    assert network.state_dict().keys() == classifier.network.state_dict().keys()
    assert len(list(classifier.parameters())) == len(list(network.parameters()))
    torch.testing.assert_close(dict(network.state_dict()), before, rtol=0, atol=0)


def write_through_data(network):
    network.layer2[0].conv1.weight.data.mul_(0.5)


def ablate_channels_through_data(network):
    network.layer4[1].conv2.weight.data[17:200] = 0


def replace_an_activation(network):
    network.layer3[0].relu = nn.Tanh()


def write_in_place(network):
    with torch.no_grad():
        network.layer2[0].conv1.weight[1:].mul_(0.5)


def replace_a_layer(network):
    network.layer2[0].conv1 = nn.Conv2d(64, 128, 3, 2, 1)


def train_statistics(network):
    network.train()
    network(images())


@pytest.mark.parametrize(
    "change",
    [
        write_through_data,
        ablate_channels_through_data,
        write_in_place,
        replace_a_layer,
        replace_an_activation,
        train_statistics,
    ],
)
def test_changes_of_the_network_are_seen(change):
    network = small_resnet()
    exact, fast = (Classifier(network, optimize=level) for level in ("exact", "fast"))
    before = fast(images())
    change(network)
    after = fast(images())
    assert (after - before).abs().max() > 1e-3
    assert_as_accurate(after, exact(images()), exact.in_float64()(images().double()), TERMS)


def test_an_unchanged_network_is_prepared_once():
    classifier = Classifier(small_resnet())
    classifier(images())
    prepared = classifier.in_effect
    GradCAM(classifier)(images(), 1)
    classifier.features(images(1))
    assert classifier.in_effect is prepared


class Grouped(nn.Module):
    """Lays its channels out in groups by `view`, which a batch in channels_last memory refuses, but not one image."""

    def forward(self, maps):
        groups = maps.view(len(maps) * 2, -1, *maps.shape[2:])
        return (groups * groups.mean((2, 3), keepdim=True)).view(maps.shape)


def test_a_copy_for_one_image_serves_for_two():
    torch.manual_seed(0)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Grouped(), nn.Conv2d(8, 8, 3), *head)
    classifier = Classifier(network.double(), "3", mean=0, std=1)
    for batch in (1, 2):
        pixels = images(batch).double()
        torch.testing.assert_close(classifier(pixels), network(pixels))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])
def test_a_copied_classifier_makes_its_own_fast_network(copied):
    classifier = Classifier(small_resnet())
    expected = classifier(images())
    other = copied(classifier)
    assert torch.equal(other(images()), expected)
    assert other.in_effect.level == "fast"
    assert other.in_effect.network is not classifier.in_effect.network


def test_the_fast_network_is_not_saved():
    classifier = Classifier(small_resnet())
    classifier(images())
    assert len(pickle.dumps(classifier)) < 1.1 * len(pickle.dumps(classifier.network))


def test_a_network_with_hooks_runs_itself():
    network, calls = small_resnet(), []
    handle = network.layer1.register_forward_hook(lambda module, inputs, output: calls.append(1))
    classifier = Classifier(network)
    classifier(images())
    assert calls
    assert classifier.in_effect.reason == "the network carries hooks"
    handle.remove()
    classifier(images())
    assert classifier.in_effect.level == "fast"


class CopyChanges(nn.Module):
    """A network whose copy computes something else."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.network, self.scale = Branching(), scale

    def forward(self, images):
        return self.network(images) * self.scale

    def __deepcopy__(self, memo):
        return CopyChanges(1.01)


def test_a_copy_that_disagrees_is_not_used():
    network = CopyChanges().eval()
    classifier = Classifier(network, "network.trunk", mean=(0,) * 3, std=(1,) * 3)
    torch.testing.assert_close(classifier(images()), network(images()), rtol=0, atol=0)
    assert classifier.in_effect.level == "exact"
    assert "logits change by" in classifier.in_effect.reason


def test_a_network_that_cannot_be_copied_runs_itself():
    network = Branching().eval()
    network.stream = (i for i in range(3))
    classifier = Classifier(network, "trunk")
    assert classifier(images()).shape == (3, 5)
    assert "TypeError" in classifier.in_effect.reason


def test_half_gives_float32_logits_near_the_exact_ones():
    network = small_resnet()
    exact, half = (Classifier(network, optimize=level) for level in ("exact", "half"))
    expected, found = exact(images()), half(images())
    assert half.in_effect.level == "half"
    assert found.dtype == torch.float32
    difference = (found - expected).abs().max() / expected.abs().max()
    assert 1e-5 < difference < 0.05
    assert half.in_effect.difference == pytest.approx(float(difference), rel=1)
    assert half.features(images()).dtype == torch.float32


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="optimize: expected one of exact, fast, half"):
        Classifier(small_resnet(), optimize="faster")


def test_fingerprint_is_stable():
    network = small_resnet()
    assert fingerprint(network, values=True) == fingerprint(network, values=True)
    assert prepare(network, "exact", images()).network is network
    network.fc.bias.data[0] = float("nan")
    assert fingerprint(network, values=True) == fingerprint(network, values=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "write",
    [
        lambda data: data[39, 49:].zero_(),
        lambda data: data[20].zero_(),
        lambda data: data.mul_(0.5),
        lambda data: data.neg_(),
        lambda data: data.numpy(force=True).fill(0.25) if data.dtype != torch.bfloat16 else data.fill_(0.25),
    ],
    ids=["one value", "one row", "half", "negative", "through NumPy"],
)
def test_what_is_written_past_the_version_counter_changes_the_fingerprint(dtype, write):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(50, 40), nn.Linear(64, 512)).to(dtype)
    nn.init.constant_(network[1].weight, 16)  # 2 ** 15 equal values, whose sum is too large for float16
    for layer in network:
        before, version = fingerprint(network, values=True), layer.weight._version
        write(layer.weight.data)
        assert layer.weight._version == version
        assert fingerprint(network, values=True) != before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_values_that_change_places_change_the_fingerprint(dtype, layout, name):
    """As where weights are permuted to see whether a map hangs on them. Sums of whole numbers have no rounding."""
    network = nn.Conv2d(3, 8, 3).to(dtype)
    for parameter in network.parameters():
        parameter.data.copy_(torch.arange(parameter.numel()).view_as(parameter) % 61)
    network.to(memory_format=layout)
    data = getattr(network, name).data
    before, total = fingerprint(network, values=True), data.double().sum()
    data.copy_(data[torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])])
    assert data.double().sum() == total
    assert fingerprint(network, values=True) != before


def test_a_module_that_takes_the_place_of_a_deleted_one_changes_the_fingerprint():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    before = fingerprint(network, values=False)
    for _ in range(20):
        del network[1]  # the next may lie at its address
        network.append(nn.Tanh())
        assert fingerprint(network, values=False) != before


def test_no_tensor_is_read_where_the_network_itself_runs(monkeypatch):
    """On a GPU, where "fast" runs the network itself, reading would wait for the device."""
    asked = []

    def spied(network, values):
        asked.append(values)
        return fingerprint(network, values)

    monkeypatch.setattr("opticam.classifier.fingerprint", spied)
    for network, copied in ((nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(1)), False), (Branching(), True)):
        classifier = Classifier(network.eval(), optimize="fast")
        asked.clear()
        classifier(images()), classifier(images())
        assert (classifier.in_effect.network is not network) == copied
        assert asked == [copied] * 2


@pytest.mark.parametrize("make", [small_resnet, lambda: small_resnet().double()])
def test_the_first_pass_may_be_in_inference_mode(make):
    network = make()
    pixels = images().to(network.fc.weight.dtype)
    expected = GradCAM(Classifier(network))(pixels, 1)
    classifier = Classifier(network)
    with torch.inference_mode():
        classifier(pixels.clone())
    assert classifier.in_effect.level == "fast"
    assert torch.equal(GradCAM(classifier)(pixels, 1), expected)
    leaf = pixels.clone().requires_grad_()
    classifier(leaf).sum().backward()
    assert leaf.grad.abs().max() > 0


def test_a_network_whose_copy_runs_the_original_runs_itself():
    network = small_resnet().double()
    original = network.forward
    network.forward = lambda pixels: 2 * original(pixels)
    found, classifier = [], Classifier(network)
    for one in (classifier, Classifier(network, optimize="exact")):
        one(images().double())
        found.append(one.gradients(images().double(), lambda logits: logits[:, 1]))
    assert classifier.in_effect.reason == "layer 'layer4.1' does not run in a copy"
    torch.testing.assert_close(*found)
    del network.forward
    torch.testing.assert_close(2 * classifier(images().double()), found[0][2])


def test_fast_is_not_offered_on_a_gpu():
    """Where the images are is all that is asked of them: here something that says it is on a GPU."""
    network, on_a_gpu = small_resnet(), SimpleNamespace(is_cuda=True)
    prepared = prepare(network, "fast", on_a_gpu)
    assert prepared.network is network
    assert (prepared.level, prepared.reason) == ("exact", "on a GPU it gains nothing")


def test_a_transformer_gains_nothing_from_fast():
    network = torchvision.models.VisionTransformer(20, 5, 1, 2, 8, 12).eval()
    classifier = Classifier(network)
    classifier(torch.rand(1, 3, 20, 20))
    assert classifier.in_effect.network is network
    assert classifier.in_effect.reason == "there are no convolutions to gain from"
