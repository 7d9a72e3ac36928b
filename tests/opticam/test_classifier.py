import contextlib
import copy
import threading

import pytest
import torch
import torchvision
from torch import nn

from opticam import Classifier, GradCAM, OptiCAM


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
    )


def images(batch=3):
    return torch.rand(batch, 3, 13, 17, generator=torch.Generator().manual_seed(1))


def test_logits_are_those_of_the_network_on_normalised_pixels():
    net, mean, std = network().double().eval(), (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    normalised = torchvision.transforms.functional.normalize(images().double(), mean, std)
    found = Classifier(net, mean=mean, std=std)(images().double())
    torch.testing.assert_close(found, net(normalised))


@pytest.mark.parametrize("layer", ["2", 2])
def test_features_and_gradients_match_plain_autograd(layer):
    net = network().eval()
    classifier = Classifier(net, net[layer] if isinstance(layer, int) else layer, mean=(0,) * 3, std=(1,) * 3)
    features = net[:3](images()).detach().requires_grad_()
    logits = net[3:](features.clone())
    (expected,) = torch.autograd.grad(logits[:, 2].sum(), features)
    found, gradients, found_logits = classifier.gradients(images(), lambda logits: logits[:, 2])
    torch.testing.assert_close(found, features.detach())
    torch.testing.assert_close(gradients, expected)
    torch.testing.assert_close(found_logits, logits.detach())
    torch.testing.assert_close(classifier.features(images()), features.detach())


def test_features_are_those_before_an_in_place_relu():
    net = network().eval()
    features = Classifier(net, "1", mean=(0,) * 3, std=(1,) * 3).features(images())
    torch.testing.assert_close(features, net[:2](images()))
    assert (features < 0).any()


def state_of(net):
    return (
        [module.training for module in net.modules()],
        [parameter.requires_grad for parameter in net.parameters()],
        [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        {name: value.clone() for name, value in net.state_dict().items()},
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in net.modules()],
        [len(module._backward_hooks) for module in net.modules()],
    )


def failing_score(logits):
    raise RuntimeError("score failed")


@pytest.mark.parametrize("method", [GradCAM, OptiCAM])
@pytest.mark.parametrize("failing", [False, True], ids=["completes", "raises"])
def test_network_is_left_as_it_was(method, failing):
    net = network().train()
    net[1].eval()
    net[0].bias.requires_grad_(False)
    net(images()).sum().backward()
    before = state_of(net)
    method = method(Classifier(net, "2"))
    with pytest.raises(RuntimeError, match="score failed") if failing else contextlib.nullcontext():
        method(images(), failing_score if failing else 1)
    after = state_of(net)
    assert before[0] == after[0]
    assert before[1] == after[1]
    assert before[4:] == after[4:]
    torch.testing.assert_close(before[2], after[2], rtol=0, atol=0)
    torch.testing.assert_close(before[3], after[3], rtol=0, atol=0)


@pytest.mark.parametrize("level", ["exact", "fast"])
def test_a_new_last_layer_is_seen(level):
    net = network().eval()
    classifier = Classifier(net, "2", optimize=level)
    for classes in (9, 3):
        classifier(images())
        torch.manual_seed(classes)
        net[-1] = nn.Linear(6, classes)
        with pytest.raises(ValueError, match=rf"targets: class ids must lie in \[0, {classes}\)"):
            GradCAM(classifier)(images(), classes)
        expected = GradCAM(Classifier(net, "2", optimize="exact"))(images(), classes - 1)
        torch.testing.assert_close(GradCAM(classifier)(images(), classes - 1), expected)


def test_the_number_of_classes_is_asked_for_once():
    net, passes = network().eval(), []
    classifier = Classifier(net, "2", optimize="exact")
    net[-1].register_forward_pre_hook(lambda *_: passes.append(1))
    for expected in (2, 1, 1):
        passes.clear()
        GradCAM(classifier)(images(), 1)
        assert len(passes) == expected


def test_a_network_in_training_mode_is_explained_in_eval_mode():
    net = network().train()
    torch.testing.assert_close(Classifier(net)(images()), Classifier(network().eval())(images()))
    assert net.training


class Keeping(nn.Module):
    """Keeps in eval mode what it makes of its bias, until it is in training again: as timm's LeViT and TinyViT."""

    def __init__(self):
        super().__init__()
        self.bias, self.kept = nn.Parameter(torch.zeros(2, 3)), None

    def train(self, mode=True):
        self.kept = None if mode else self.kept
        return super().train(mode)

    def forward(self, maps):
        if self.training:
            return maps + self.bias.reshape(6, 1, 1)
        if self.kept is None:
            self.kept = self.bias.reshape(6, 1, 1)
        return maps + self.kept


@pytest.mark.parametrize("level", ["exact", "fast"])
@pytest.mark.parametrize("layer", [None, "4"])
def test_what_a_network_keeps_in_eval_mode_is_forgotten_in_training(level, layer):
    plain = network().double()
    net = nn.Sequential(*plain[:2], Keeping(), nn.ReLU(), nn.Conv2d(6, 6, 1), *plain[4:]).double().train()
    classifier = Classifier(net, layer, mean=0, std=1, optimize=level)
    for change in (0.0, 0.5):
        net[2].bias.data += change
        found = classifier(images().double())
        assert net.training and net[2].kept is None
        torch.testing.assert_close(found, net.eval()(images().double()))
        net.train()


def test_a_network_that_keeps_what_it_made_can_be_copied_after_the_search_for_a_layer():
    net = nn.Sequential(*network()[:2], Keeping(), nn.Conv2d(6, 6, 1), *network()[4:]).eval()
    classifier = Classifier(net)
    copy.deepcopy(net)  # which takes no tensor that has a graph
    assert all(parameter.requires_grad for parameter in net.parameters())
    classifier(images())
    assert classifier.in_effect.level == "fast"


def test_a_network_whose_mode_cannot_be_set_is_explained_in_eval_mode():
    net, expected = network().train(), Classifier(network().eval(), "2")(images())
    net.train = lambda mode=True: net
    torch.testing.assert_close(Classifier(net, "2")(images()), expected)
    assert all(module.training for module in net.modules())


def test_a_part_that_a_network_makes_for_training_is_in_training_mode():
    """As in networks that merge what they train beside their weights, and part it again."""
    net = network().train()

    def train(mode=True):
        nn.Module.train(net, mode)
        net[3] = nn.Dropout(0.5).train(mode)
        return net

    net.train = train
    Classifier(net, "2", optimize="exact")(images())
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("level", ["exact", "fast"])
def test_gradients_are_the_same_in_inference_mode(level):
    classifier = Classifier(network().eval(), "2", optimize=level)
    expected = classifier.gradients(images(), lambda logits: logits[:, 2])
    with torch.inference_mode():
        found = classifier.gradients(images().clone(), lambda logits: logits[:, 2])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"network": "resnet50"}, TypeError, "network"),
        ({"mean": (0.5,)}, ValueError, "mean, std: expected as many of each, and at least one, got 1 and 3"),
        ({"mean": 0.5}, ValueError, "mean, std: expected as many"),
        ({"mean": (), "std": ()}, ValueError, "mean, std: expected as many"),
        ({"mean": (0.5, float("nan"), 0.5)}, ValueError, "^mean: must be finite"),
        ({"mean": (0.5, -float("inf"), 0.5)}, ValueError, "^mean: must be finite"),
        ({"mean": "grey"}, TypeError, "^mean: expected one number a channel, got 'grey'"),
        ({"mean": (0.5, None, 0.5)}, TypeError, "^mean: expected one number a channel"),
        ({"std": (0.5, 0, 0.5)}, ValueError, "^std: must be positive and finite"),
        ({"std": (0.5, 1e-60, 0.5)}, ValueError, "^std: must be positive and finite"),  # 0 in float32
        ({"std": (0.5, float("nan"), 0.5)}, ValueError, "^std: must be positive and finite"),
        ({"std": (0.5, float("inf"), 0.5)}, ValueError, "^std: must be positive and finite"),
        ({"call": "a"}, TypeError, "^call: expected the number of a run or None, got 'a'"),
        ({"target_layer": "fc.7"}, ValueError, "target_layer"),
        ({"target_layer": 3}, TypeError, "target_layer"),
        ({"target_layer": nn.Linear(2, 2)}, ValueError, "target_layer"),
    ],
)
def test_bad_arguments_are_named(arguments, error, match):
    with pytest.raises(error, match=match):
        Classifier(**{"network": network(), **arguments})


def test_a_layer_without_a_map_is_refused():
    with pytest.raises(ValueError, match=r"target_layer: its output has shape \(3, 6\)"):
        Classifier(network(), "5").features(images())


def test_a_layer_that_runs_twice_is_refused():
    relu = nn.ReLU()
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), relu, nn.Conv2d(4, 4, 3), relu, nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    with pytest.raises(ValueError, match=r"target_layer: ran 2 times .* Classifier\(call=\.\.\.\)"):
        Classifier(net, relu).features(images())


def test_a_network_without_logits_is_refused():
    with pytest.raises(ValueError, match=r"network: expected logits \[B,C\]"):
        Classifier(network()[:3])(images())


def test_reshape_turns_any_layout_into_maps():
    net = network()
    classifier = Classifier(net, "5", reshape=lambda output: output[:, :, None, None])
    assert classifier.features(images()).shape == (3, 6, 1, 1)


def test_from_name_takes_the_librarys_pixel_statistics():
    classifier = Classifier.from_name("squeezenet1_1", None, num_classes=5)
    torch.testing.assert_close(classifier.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    assert classifier(images()[:, :, :, :13].repeat(1, 1, 3, 3)).shape == (3, 5)


def test_an_integer_parameter_in_front_leaves_the_pixels_floating():
    net = network().double().eval()
    whole = nn.Module()
    whole.scale = nn.Parameter(torch.tensor([3], dtype=torch.int8), requires_grad=False)
    behind = nn.Sequential(whole, *net)
    behind.forward = lambda pixels: net(pixels)
    classifier = Classifier(behind, "3")
    assert next(behind.parameters()).dtype == torch.int8 and classifier.mean.dtype == torch.float64
    assert torch.equal(classifier(images().double()), Classifier(net, "2").exact()(images().double()))


def test_one_number_serves_all_channels():
    net = network().double().eval()
    found = Classifier(net, mean=0.4, std=0.5)(images().double())
    torch.testing.assert_close(found, net((images().double() - 0.4) / 0.5))


@pytest.mark.parametrize("precision", [None, "float64"])
def test_a_classifier_may_be_made_in_inference_mode(precision):
    expected = OptiCAM(Classifier(network().eval(), "2"), iterations=3, precision=precision)(images(), 1)
    net = network().eval()
    with torch.inference_mode():
        classifier = Classifier(net, "2")
        method = OptiCAM(classifier, iterations=3, precision=precision)
    torch.testing.assert_close(method(images(), 1), expected)
    leaf = images().requires_grad_()
    classifier(leaf).sum().backward()
    assert leaf.grad.abs().max() > 0


def test_classifier_moves_with_its_network():
    classifier = Classifier(network().eval(), "2").double()
    assert classifier(images().double()).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pixels_are_rounded_to_the_networks_dtype_after_their_normalisation(dtype):
    """0.5 + 2^-14 is 0.5 in either dtype; normalised by 0.5 and 0.25 it is 2^-12."""
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3, 3, bias=False)).to(dtype)
    nn.init.eye_(flat[1].weight)
    classifier = Classifier(flat, "0", mean=0.5, std=0.25, optimize="exact")
    assert classifier(torch.full((1, 3, 1, 1), 0.5 + 2.0**-14)).tolist() == [[2.0**-12] * 3]


def test_one_thread_at_a_time_has_a_network():
    """Its modes and hooks would be the other's: a second one waits, with a classifier of its own, too."""
    net, inside, states = network().train(), threading.Event(), []

    def second():
        with Classifier(net, "2").frozen():
            inside.set()
        states.append(net.training)

    with Classifier(net, "2").frozen():
        thread = threading.Thread(target=second)
        thread.start()
        assert not inside.wait(0.2)
    thread.join(60)
    assert inside.is_set() and states == [True]
