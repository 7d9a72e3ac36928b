"""Networks as users bring them: wrapped, of other outputs, layouts and dtypes, in any gradient state, from threads."""

import copy
import threading
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, swin_t

import opticam.__main__ as opticam_main
from opticam import METHODS, Classifier, ExtremalPerturbation, GradCAM, OptiCAM
from opticam.acceleration.prepared_network import LEVELS
from opticam.cli import options as command_line
from opticam.layers import default_layer, layer_name
from opticam.metrics import faithfulness, target_probability
from opticam.probability import PROBABILITIES
from opticam.vit.tokens import prefix_tokens

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """Two convolutions and a linear layer."""

    def __init__(self, channels=3, classes=4):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(channels, 6, 3, 2, 1)
        self.last = nn.Conv2d(6, 5, 3, 2, 1)
        self.fc = nn.Linear(5, classes)

    def forward(self, images):
        return self.fc(self.last(self.conv(images).relu()).relu().mean((2, 3)))


class Wrapped(nn.Module):
    """Somebody's class around a network, with a normalisation of its own."""

    def __init__(self, network, give=lambda logits: logits):
        super().__init__()
        self.normalise, self.network, self.give = nn.Identity(), network, give

    def forward(self, images):
        return self.give(self.network(self.normalise(images)))


@pytest.fixture
def small():
    return Small()


def in_sequence(network):
    """As the authors of Opti-CAM wrap theirs."""
    return nn.Sequential(nn.Identity(), network)


@pytest.mark.parametrize(
    "wrap",
    [
        Wrapped,
        nn.DataParallel,
        lambda n: Wrapped(nn.DataParallel(Wrapped(n))),
        in_sequence,
        lambda n: nn.DataParallel(in_sequence(n)),
    ],
)
def test_a_wrapped_network_has_the_inner_networks_layer_and_map(wrap):
    torch.manual_seed(0)
    plain, images = resnet18(num_classes=5).double(), IMAGES.double()
    wrapped = wrap(plain)
    assert default_layer(wrapped) is default_layer(plain) is plain.layer4[-1]
    expected = GradCAM(Classifier(plain))(images, 1)
    torch.testing.assert_close(GradCAM(Classifier(wrapped))(images, 1), expected)


@pytest.mark.parametrize("wrap", [Wrapped, in_sequence])
def test_a_wrapped_transformer_keeps_its_class_token(wrap):
    timm = pytest.importorskip("timm")
    network = timm.create_model("vit_tiny_patch16_224", num_classes=3)
    assert default_layer(wrap(network)) is network.blocks[-1].norm1
    assert prefix_tokens(wrap(network)) == prefix_tokens(network) == 1
    assert METHODS["Raw attention"].applies_to(Classifier(wrap(network)))


class ScoresInPlace(nn.Module):
    """A trunk that ends in the scores of the classes at each place."""

    def __init__(self):
        super().__init__()
        self.features, self.scores = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 4, 1)

    def forward(self, images):
        return self.scores(self.features(images).relu())


def test_a_sequence_that_pools_behind_its_one_part_is_the_network():
    network = nn.Sequential(ScoresInPlace(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert default_layer(network) is network[0].features  # the scores are no features


@pytest.fixture
def compiling():
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("compiling")
@pytest.mark.parametrize("level", ["exact", "fast"])
@pytest.mark.parametrize("place", ["outside", "inside", "part"])
def test_a_compiled_network_is_read_as_the_one_it_was_made_of(level, place):
    network = Small().double().eval()
    expected = GradCAM(Classifier(network, "last", optimize=level))(IMAGES.double(), 1)
    layer = default_layer(network)
    compiled = torch.compile(network, backend="eager") if place == "outside" else network
    if place != "outside":
        (network if place == "inside" else network.last).compile(backend="eager")
    with torch.no_grad():
        logits = compiled(IMAGES.double())  # the code is made without hooks, and would see none
    assert Classifier(compiled).target_layer is layer
    classifier = Classifier(compiled, "last", optimize=level, mean=(0,), std=(1,))
    torch.testing.assert_close(classifier(IMAGES.double()), logits)
    found = Classifier(compiled, "last", optimize=level)
    found(IMAGES.double())
    torch.testing.assert_close(GradCAM(found)(IMAGES.double(), 1), expected)
    assert (network._compiled_call_impl is not None) == (place == "inside")


@pytest.mark.parametrize(
    "give",
    [lambda y: {"logits": y}, lambda y: SimpleNamespace(logits=y, loss=None)],
    ids=["mapping", "object"],
)
@pytest.mark.parametrize("optimize", ["exact", "fast"])
def test_logits_inside_another_output(small, give, optimize):
    expected = GradCAM(Classifier(small.double(), "last"))(IMAGES.double(), 1)
    classifier = Classifier(Wrapped(small, give), "network.last", optimize=optimize)
    torch.testing.assert_close(GradCAM(classifier)(IMAGES.double(), 1), expected)


@pytest.mark.parametrize("give", [lambda y: (y, y), lambda y: {"scores": y}, lambda y: None])
def test_an_output_without_logits_is_told(small, give):
    with pytest.raises(TypeError, match=r"network: expected logits .* got (tuple|dict|NoneType)"):
        Classifier(Wrapped(small, give))(IMAGES)


def test_channels_last_layers_are_read_as_channels():
    torch.manual_seed(0)
    network = swin_t(num_classes=3).eval()
    classifier = Classifier(network, "features.7")
    images = torch.rand(1, 3, 64, 96)
    features, _ = classifier.features_and_logits(images)
    assert features.shape == (1, 768, 2, 3)
    seen = []
    network.features[7].register_forward_hook(lambda module, inputs, output: seen.append(output))
    classifier(images)
    torch.testing.assert_close(features, seen[0].permute(0, 3, 1, 2))


def test_a_grid_that_does_not_follow_the_image_stays_channels_first():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(), nn.Linear(392, 2))
    features, _ = Classifier(network, "1").features_and_logits(torch.rand(1, 3, 40, 100))
    assert features.shape == (1, 8, 7, 7)


class Windowed(nn.Module):
    """A layer on windows of 4 x 4 cells, folded into the batch as in Swin's attention."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.inner, self.fc = nn.Conv2d(3, 6, 3, 4, 1), nn.Conv2d(6, 5, 1), nn.Linear(5, 4)

    def forward(self, images):
        cells = self.stem(images)
        windows = cells.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        return self.fc(self.inner(windows).unflatten(0, (len(images), -1)).mean((1, 3, 4)))


def unwindowed(output):
    """Windows [4B,K,4,4] as [B,K,8,8]."""
    rows = output.unflatten(0, (-1, 2, 2)).permute(0, 3, 1, 4, 2, 5)
    return rows.flatten(4, 5).flatten(2, 3)


@pytest.mark.parametrize("method", ["Grad-CAM", "Layer-CAM", "Score-CAM", "Opti-CAM"])
def test_a_layer_that_folds_windows_into_the_batch(method):
    network, images = Windowed().double(), IMAGES.double()
    assert layer_name(network, default_layer(network)) == "stem"
    with pytest.raises(ValueError, match=r"target_layer: puts out 8 maps for a batch of 2.*reshape="):
        METHODS[method](Classifier(network, "inner"))(images, 1)
    plain = nn.Sequential(network.stem, network.inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.fc)
    expected = METHODS[method](Classifier(plain, "1"))(images, 1)
    found = METHODS[method](Classifier(network, "inner", reshape=unwindowed))(images, 1)
    torch.testing.assert_close(found, expected)


class Pooled(nn.Module):
    """A convolution behind the pooling, as in MobileNetV3, and an auxiliary head that no logit hangs on."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.late = nn.Conv2d(6, 8, 1)
        self.first, self.act, self.auxiliary = (
            nn.Conv2d(3, 6, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 4, 1),
        )
        self.fc = nn.Linear(8, 4)

    def forward(self, images):
        hidden = self.act(self.first(images))
        self.seen = self.auxiliary(hidden).detach().mean()
        return self.fc(self.late(hidden.mean((2, 3), keepdim=True)).flatten(1))


@pytest.mark.parametrize("wrap", [lambda n: n, Wrapped])
def test_the_default_layer_is_the_last_that_has_places_and_counts(wrap):
    network = Pooled().train()
    assert default_layer(wrap(network)) is network.act
    assert network.training and network.act.training and not network.first._forward_hooks


@pytest.mark.parametrize("side", [28, 32, 299])
def test_networks_of_one_size_and_of_grey_pictures_have_a_default_layer(side):
    network = nn.Sequential(
        nn.Conv2d(1, 5, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(5 * ((side - 1) // 2) ** 2, 3)
    )
    assert default_layer(network) is network[1]


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_the_search_for_a_default_layer_makes_lazy_parameters():
    network = nn.Sequential(
        nn.LazyConv2d(5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4)
    )
    assert default_layer(network) is network[1]
    assert all(parameter.requires_grad for parameter in network.parameters())


class Shared(nn.Module):
    """Two convolutions with batch norms and one activation that runs behind each, or two of them."""

    def __init__(self, shared=True):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 2, 1)
        self.norm, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 4)
        self.act = nn.ReLU()
        self.last = self.act if shared else nn.ReLU()

    def forward(self, images):
        return self.fc(self.last(self.norm(self.second(self.act(self.first(images))))).mean((2, 3)))


def test_the_default_layer_is_in_front_of_an_activation_that_runs_twice():
    shared, apart = Shared().double().eval(), Shared(shared=False).double().eval()
    assert default_layer(apart) is apart.last
    assert default_layer(shared) is shared.norm
    expected = GradCAM(Classifier(apart, "norm"))(IMAGES.double(), 1)
    torch.testing.assert_close(GradCAM(Classifier(shared))(IMAGES.double(), 1), expected)


@pytest.mark.parametrize(
    ("cut", "shape"),
    [
        (lambda logits: logits.squeeze(1), r"\(2,\)"),
        (
            lambda logits: logits.squeeze(),
            r"\(2,\)",
        ),  # of one picture, such as the default layer is sought with: ()
        (lambda logits: logits[:, :0], r"\(2, 0\)"),
    ],
)
def test_outputs_that_are_no_logits_are_told(cut, shape):
    network = Small(classes=1)
    network.register_forward_hook(lambda module, inputs, logits: cut(logits))
    classifier = Classifier(network)
    assert classifier.target_layer is network.last
    with pytest.raises(
        ValueError, match=rf"network: expected logits \[B,C\], got an output of shape {shape}"
    ):
        GradCAM(classifier)(IMAGES)


@pytest.mark.parametrize("name", ["LIME", "GradientSHAP"])
def test_a_constant_map_of_what_reads_no_layer_names_none(name):
    grey = torch.full((1, 3, 16, 16), 0.5)
    classifier = Classifier(Small(), mean=grey[0, :, 0, 0], std=(0.25,) * 3)
    with torch.no_grad():
        classifier.network.fc.weight.zero_()  # no pixel changes a logit
    with pytest.warns(UserWarning, match=f"^images: a map of {name} is constant") as told:
        assert METHODS[name](classifier, samples=4)(grey, 1).eq(0).all()
    assert not any("target_layer" in str(warning.message) for warning in told)


def test_a_constant_map_of_several_layers_names_all():
    with pytest.warns(
        UserWarning, match="target_layer: a map of OptiCAM is constant.*'conv' and 'last' says"
    ):
        OptiCAM(Classifier(Small()), layers=["conv", "last"], iterations=0)(torch.zeros(1, 3, 1, 1), 1)


def test_a_constant_map_is_told_with_the_layers_name():
    with pytest.warns(UserWarning, match="target_layer: a map of GradCAM is constant.*'late'"):
        maps = GradCAM(Classifier(Pooled(), "late"))(IMAGES, 1)
    assert (maps == 0).all()


class Pair(nn.Module):
    """A layer that puts out a map and something else."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, images):
        return self.conv(images), 3


class WithPair(Small):
    """The same network, its last convolution inside such a layer."""

    def __init__(self):
        super().__init__()
        self.last = Pair(self.last)

    def forward(self, images):
        return self.fc(self.last(self.conv(images).relu())[0].relu().mean((2, 3)))


@pytest.mark.parametrize("method", ["Grad-CAM", "Opti-CAM", "Score-CAM"])
def test_a_layer_that_puts_out_a_tuple(small, method):
    expected = METHODS[method](Classifier(small.double(), "last"))(IMAGES.double(), 1)
    classifier = Classifier(WithPair().double(), "last", reshape=lambda output: output[0])
    torch.testing.assert_close(METHODS[method](classifier)(IMAGES.double(), 1), expected)
    with pytest.raises(ValueError, match=r"target_layer: puts out a tuple; give Classifier\(reshape"):
        METHODS[method](Classifier(WithPair(), "last"))(IMAGES, 1)


@pytest.mark.parametrize("state", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"LIME", "GradientSHAP"}))
def test_the_callers_gradient_state_does_not_matter(small, method, state):
    kind, classifier = METHODS[method], Classifier(small.double(), "last")
    if not kind.applies_to(classifier):
        pytest.skip("not defined for a network without attention")
    options = {"iterations": 3} if kind in (ExtremalPerturbation, OptiCAM) else {}
    expected = kind(classifier, **options)(IMAGES.double(), 1)
    with state():
        found = kind(classifier, **options)(IMAGES.double(), 1)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_images_and_network_of_different_dtypes(small, dtype):
    expected = GradCAM(Classifier(small.double(), "last", optimize="exact"))(IMAGES.double(), 1)
    maps = GradCAM(Classifier(Small().to(dtype), "last", optimize="exact"))(IMAGES, 1)
    assert maps.dtype == torch.float32
    eps = max(torch.finfo(kept).eps for kept in (dtype, torch.float32))
    torch.testing.assert_close(maps.double(), expected, rtol=0, atol=8 * eps)
    assert GradCAM(Classifier(Small(), "last"))(IMAGES.to(dtype), 1).isfinite().all()


def test_a_mean_for_other_channels_is_told():
    with pytest.raises(ValueError, match="mean: has 3 values, but the images have 1 channels"):
        Classifier(Small(channels=1))(torch.rand(1, 1, 8, 8))


def test_one_logit_is_no_probability(small):
    classifier = Classifier(Small(classes=1), "last")
    with pytest.raises(ValueError, match="one logit"):
        target_probability(classifier, IMAGES, torch.zeros(2, dtype=torch.long))


@pytest.mark.parametrize("classes", [1, 4])
def test_a_network_of_sigmoids_is_judged_by_its_sigmoid(classes):
    network, zeros = Small(classes=classes), torch.zeros(2, dtype=torch.long)
    classifier = Classifier(network, "last", probability="sigmoid")
    found = target_probability(classifier, IMAGES, zeros)
    torch.testing.assert_close(found, 1 / (1 + (-classifier(IMAGES)[:, 0]).exp()))
    maps = torch.rand(2, *IMAGES.shape[2:], generator=torch.Generator().manual_seed(0))
    masked = 1 / (1 + (-classifier(IMAGES * maps[:, None])[:, 0]).exp())
    scores = faithfulness(classifier, IMAGES, maps, zeros)
    torch.testing.assert_close(scores["AD"], 100 * (found - masked).clamp(min=0) / found)
    assert (scores["AD"] + scores["AG"] > 0).all()
    for copied in (classifier.in_float64(), classifier.exact()):
        torch.testing.assert_close(target_probability(copied, IMAGES, zeros).float(), found)


def test_any_function_of_the_logits_is_a_probability_and_others_are_told():
    classifier = Classifier(Small(), "last", probability=lambda logits: logits.softmax(1) ** 2)
    plain = target_probability(Classifier(Small(), "last"), IMAGES, torch.tensor([1, 0]))
    torch.testing.assert_close(target_probability(classifier, IMAGES, torch.tensor([1, 0])), plain**2)
    with pytest.raises(ValueError, match="probability: expected one of softmax, sigmoid"):
        Classifier(Small(), "last", probability="tanh")
    with pytest.raises(TypeError, match="probability: expected a name or a function, got int"):
        Classifier(Small(), "last", probability=3)


def test_the_command_line_knows_the_probabilities_and_levels():
    assert set(opticam_main.PROBABILITIES) == set(PROBABILITIES)
    assert command_line.LEVELS == LEVELS


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_and_quantised_networks_are_refused(small):
    with pytest.raises(TypeError, match="network: is scripted or traced"):
        Classifier(torch.jit.trace(small, IMAGES))
    quantised = torch.ao.quantization.quantize_dynamic(small, {nn.Linear})
    with pytest.raises(TypeError, match="network: is quantised"):
        Classifier(quantised)


def test_threads_share_a_classifier(small):
    classifier = Classifier(small, "last")
    pictures = torch.rand(8, 1, 3, 32, 32)
    expected = [GradCAM(classifier)(picture, 1) for picture in pictures]
    found, failures = [None] * 8, []

    def explain(place):
        try:
            for _ in range(5):
                found[place] = GradCAM(classifier)(pictures[place], 1)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=explain, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    torch.testing.assert_close(torch.cat(found), torch.cat(expected), rtol=0, atol=1e-6)


def test_the_layer_has_a_name_inside_the_wrapper(small):
    wrapped = Wrapped(small)
    assert layer_name(wrapped, default_layer(wrapped)) == "network.last"


class Repeated(nn.Module):
    """One convolution that runs twice, and the same network with two copies of it."""

    def __init__(self, shared=True):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.body, self.fc = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 6, 3, 1, 1), nn.Linear(6, 4)
        self.second = self.body if shared else copy.deepcopy(self.body)

    def forward(self, images):
        hidden = self.body(self.stem(images).relu()).relu()
        return self.fc(self.second(hidden).relu().mean((2, 3)))


@pytest.mark.parametrize(
    "name", ["Grad-CAM", "Grad-CAM++", "Layer-CAM", "Score-CAM", "Ablation-CAM", "Opti-CAM"]
)
@pytest.mark.parametrize(("call", "layer"), [(0, "body"), (-2, "body"), (1, "second"), (-1, "second")])
@pytest.mark.parametrize("level", ["exact", "fast"])
def test_a_run_of_a_shared_layer_is_explained_as_a_layer_of_its_own(name, call, layer, level):
    dtype = torch.float64 if level == "exact" else torch.float32
    shared = Classifier(Repeated().to(dtype), "body", call=call, optimize=level)
    apart = Classifier(Repeated(shared=False).to(dtype), layer, optimize="exact")
    found, expected = (METHODS[name](one)(IMAGES.to(dtype), 1) for one in (shared, apart))
    # "fast" changes a logit by 1e-4 of the largest at most, and Opti-CAM's steps by as much.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7 if level == "exact" else 1e-2)


@pytest.mark.parametrize("level", ["exact", "fast"])
def test_a_run_that_is_not_made_is_told_and_so_is_a_choice_that_is_needed(level):
    for call in (2, -3):
        classifier = Classifier(Repeated(), "body", call=call, optimize=level)
        told = f"^call: the target layer ran 2 times in one forward pass; there is no run {call}$"
        for method in ("Grad-CAM", "Ablation-CAM", "Opti-CAM"):
            with pytest.raises(ValueError, match=told):
                METHODS[method](classifier)(IMAGES, 1)
    with pytest.raises(ValueError, match=r"ran 2 times .* Classifier\(call=\.\.\.\)"):
        Classifier(Repeated(), "body", optimize=level).features(IMAGES)
