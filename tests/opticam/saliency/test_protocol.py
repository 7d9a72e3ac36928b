"""What every method promises: targets, dtypes, ranges, errors, and a network left as it was."""

import contextlib
import gc
import warnings

import pytest
import timm
import torch
from torch import nn

from opticam import METHODS, Classifier, OptiCAM, applicable_methods

OPTIONS = {
    "Opti-CAM": {"iterations": 2},
    "Extremal Perturbation": {"iterations": 2},
    "LIME": {"samples": 8},
    "GradientSHAP": {"samples": 3},
}
FOR_TRANSFORMERS = ("Raw attention", "Rollout", "TIBAV")
ON = {name: "vit" if name in FOR_TRANSFORMERS else "gap" for name in METHODS}
methods = pytest.mark.parametrize("name", METHODS)
every_pair = pytest.mark.parametrize(
    ("name", "network"),
    [(name, ON[name]) for name in METHODS]
    + [(name, "vit") for name in METHODS if name not in (*FOR_TRANSFORMERS, "CAM", "Ablation-CAM")]
    + [(name, "vgg") for name in METHODS if name not in (*FOR_TRANSFORMERS, "CAM")],
)


def make(name, classifier):
    return METHODS[name](classifier, **OPTIONS.get(name, {}))


def test_the_papers_methods_are_listed():
    tables = ["Fake-CAM", "Grad-CAM", "Grad-CAM++", "Score-CAM", "Ablation-CAM", "XGrad-CAM", "Layer-CAM"]
    tables += [
        "Extremal Perturbation",
        "HiRes-CAM",
        "LIME",
        "GradientSHAP",
        "CAM",
        "Raw attention",
        "Rollout",
    ]
    assert set(METHODS) == {*tables, "TIBAV", "Opti-CAM"}


@pytest.mark.parametrize(
    ("network", "missing"),
    [
        ("gap", FOR_TRANSFORMERS),
        ("vgg", (*FOR_TRANSFORMERS, "CAM")),
        ("vit", ("CAM", "Ablation-CAM")),
    ],
)
def test_applicable_methods(classify, network, missing):
    assert applicable_methods(classify(network)) == [name for name in METHODS if name not in missing]


def test_applicable_methods_of_a_timm_transformer():
    network = timm.create_model("deit_tiny_patch16_224", depth=2, img_size=32)
    assert set(METHODS) - set(applicable_methods(Classifier(network))) == {"CAM", "Ablation-CAM"}


@every_pair
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maps_are_finite_in_the_unit_interval(classify, images, name, network, dtype):
    maps = make(name, classify(network, dtype))(images[:2].to(dtype))
    assert maps.shape == (2, 35, 35)
    assert maps.dtype == dtype
    assert not maps.requires_grad
    assert maps.min() >= 0
    assert maps.max() <= 1


@methods
def test_every_form_of_the_target_gives_the_same_map(classify, images, name):
    method, images = make(name, classify(ON[name], torch.float64)), images[:3].double()
    expected = method(images, 3)
    ids = torch.full((3,), 3)
    forms = [[3] * 3, ids, ids.to(torch.int32)]
    if name != "LIME":  # its score is the probability
        forms.append(lambda logits: logits[:, 3])
    for form in forms:
        torch.testing.assert_close(method(images, form), expected)


@methods
def test_no_target_means_the_predicted_class(classify, images, name):
    classifier, images = classify(ON[name], torch.float64), images[:2].double()
    method = make(name, classifier)
    predicted = classifier(images).argmax(1)
    torch.testing.assert_close(method(images), method(images, predicted))


@methods
def test_an_empty_batch_gives_no_maps(classify, images, name):
    method = make(name, classify(ON[name]))
    assert method(images[:0]).shape == (0, 35, 35)
    assert method(images[:0], torch.zeros(0, dtype=torch.long)).shape == (0, 35, 35)


@methods
def test_autocast_gives_float32_maps(classify, images, name):
    with torch.autocast("cpu", torch.bfloat16):
        maps = make(name, classify(ON[name]))(images[:2], 2)
    assert maps.dtype == torch.float32
    assert torch.isfinite(maps).all()


@methods
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_give_finite_maps(classify, name, value):
    assert torch.isfinite(make(name, classify(ON[name]))(torch.full((2, 3, 35, 35), value), 2)).all()


@methods
@pytest.mark.parametrize("level", ["exact", "fast", "half"])
def test_every_level_gives_nearly_the_same_map(classify, images, name, level):
    images, tolerance = images[:2], {"exact": 1e-6, "fast": 2e-3, "half": 0.25}[level]
    expected = make(name, classify(ON[name], optimize="exact"))(images, 3)
    found = make(name, classify(ON[name], optimize=level))(images, 3)
    assert (found - expected).abs().mean() <= tolerance


@methods
def test_images_in_any_memory_format(classify, images, name):
    method, images = make(name, classify(ON[name], torch.float64)), images[:2].double()
    found = method(images.contiguous(memory_format=torch.channels_last), 3)
    torch.testing.assert_close(found, method(images, 3))


def state_of(network):
    return (
        [module.training for module in network.modules()],
        [parameter.requires_grad for parameter in network.parameters()],
        [None if p.grad is None else p.grad.clone() for p in network.parameters()],
        {name: value.clone() for name, value in network.state_dict().items()},
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()],
        [len(module._backward_hooks) for module in network.modules()],
    )


def failing_score(logits):
    raise RuntimeError("score failed")


@methods
@pytest.mark.parametrize("level", ["exact", "fast"])
@pytest.mark.parametrize("failing", [False, True], ids=["completes", "raises"])
def test_the_network_is_left_as_it_was(build, images, name, level, failing):
    network = build(ON[name]).train()
    next(network.children()).eval()
    next(network.parameters()).requires_grad_(False)
    network(images).sum().backward()
    before = state_of(network)
    layer = None if ON[name] == "vit" else "last"
    method = make(name, Classifier(network, layer, optimize=level))
    reads_the_score = name not in ("Fake-CAM", "Raw attention", "Rollout")
    fails = failing and reads_the_score
    with pytest.raises(RuntimeError, match="score failed") if fails else contextlib.nullcontext():
        method(images[:2], failing_score if failing else 1)
    after = state_of(network)
    assert before[0] == after[0]
    assert before[1] == after[1]
    assert before[4:] == after[4:]
    torch.testing.assert_close(before[2], after[2], rtol=0, atol=0)
    torch.testing.assert_close(before[3], after[3], rtol=0, atol=0)


def living_tensors():
    gc.collect()
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@methods
def test_nothing_stays_behind_after_500_images(classify, images, name):
    method = make(name, classify(ON[name]))
    images = images[:, :, :21, :21] if ON[name] == "gap" else images
    batch = images.repeat(5, 1, 1, 1) if name not in ("LIME", "Extremal Perturbation") else images[:1]
    for _ in range(2):
        method(batch, 1)
    before = living_tensors()
    for _ in range(20 if len(batch) > 1 else 10):
        method(batch, 1)
    assert living_tensors() <= before


def test_memory_does_not_grow_over_500_single_images(classify, images):
    import resource

    method = OptiCAM(classify("gap"), iterations=2)
    for _ in range(50):
        method(images[:1], 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(500):
        method(images[:1], 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5_000  # KiB


@methods
def test_images_that_need_a_gradient_give_the_same_map_and_no_warning(classify, images, name):
    method, leaf = make(name, classify(ON[name])), images[:2].clone().requires_grad_()
    expected = method(images[:2], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "images: a map of LIME is constant")
        assert torch.equal(method(leaf, 1), expected)
    assert leaf.grad is None


@methods
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda images: images[0], ValueError),
        (lambda images: (images * 255).to(torch.uint8), ValueError),
        (lambda images: images * 255, ValueError),
        (lambda images: images - 1, ValueError),
        (lambda images: images / 0 * 0, ValueError),
        (lambda images: images.numpy(), TypeError),
    ],
    ids=["no batch", "uint8", "0..255", "negative", "nan", "numpy"],
)
def test_bad_images_are_refused(classify, images, name, change, error):
    with pytest.raises(error, match="images"):
        make(name, classify(ON[name]))(change(images))


@methods
@pytest.mark.parametrize(
    ("targets", "error"),
    [
        (7, ValueError),
        (-1, ValueError),
        ([1, 2], ValueError),
        (1.0, TypeError),
        ([True] * 5, TypeError),
        ("a", TypeError),
        ([0, None], TypeError),
        ([[0], [1, 2]], TypeError),
    ],
)
def test_bad_targets_are_refused(classify, images, name, targets, error):
    with pytest.raises(error, match=r"^targets: "):
        make(name, classify(ON[name]))(images, targets)


@methods
@pytest.mark.parametrize(
    ("score", "found"),
    [
        (lambda logits: logits[:, 1:2], r"shape \(\d+, 1\)"),
        (lambda logits: logits, r"shape \(\d+, 7\)"),
        (lambda logits: logits[:, 1].sum(), r"shape \(\)"),
        (lambda logits: 1.0, "float"),
    ],
)
def test_a_function_that_gives_no_score_an_image_is_refused(classify, images, name, score, found):
    if name in ("Fake-CAM", "Raw attention", "Rollout"):
        pytest.skip("reads no score")
    with pytest.raises(
        ValueError, match=rf"targets: the function must give one score an image.* got {found}"
    ):
        make(name, classify(ON[name]))(images[:3], score)


@methods
def test_a_bare_network_is_refused(build, name):
    with pytest.raises(TypeError, match=r"wrap a network as Classifier\(network\)"):
        make(name, build("gap"))


@pytest.mark.parametrize("name", ["Grad-CAM", "Opti-CAM", "Score-CAM"])
def test_in_place_relu_behind_the_target_layer(images, name):
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 7))
    in_place, plain = (
        nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=way), *head)
        for way in (True, False)
    )
    plain.load_state_dict(in_place.state_dict())
    nets, images = (net.double().eval() for net in (in_place, plain)), images.double()
    found, expected = (make(name, Classifier(net, "1"))(images, 2) for net in nets)
    torch.testing.assert_close(found, expected)
