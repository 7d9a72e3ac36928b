"""pytorch-grad-cam's README example, and the package's own maps, through our adapter."""

import copy

import numpy as np
import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.image import show_cam_on_image
from pytorch_grad_cam.utils.model_targets import BinaryClassifierOutputTarget, ClassifierOutputTarget
from torchvision.models import resnet18
from torchvision.transforms.functional import normalize

import opticam
from opticam.adapters import grad_cam
from opticam.adapters.grad_cam import GradCAM, OptiCAM, ScoreCAM

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return resnet18(num_classes=300).double().eval()


@pytest.fixture
def rgb_images():
    coarse = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (70, 90), mode="bilinear").double()


@pytest.fixture
def input_tensor(rgb_images):
    return normalize(rgb_images, MEAN, STD)


def test_the_readme_example(model, input_tensor, rgb_images):
    target_layers = [model.layer4[-1]]
    targets = [ClassifierOutputTarget(281), ClassifierOutputTarget(3)]
    with GradCAM(model=model, target_layers=target_layers) as cam:
        grayscale_cam = cam(input_tensor=input_tensor, targets=targets)
        model_outputs = cam.outputs
    torch.testing.assert_close(model_outputs, model(input_tensor))
    grayscale_cam = grayscale_cam[0, :]
    rgb_img = rgb_images[0].permute(1, 2, 0).numpy()
    visualization = show_cam_on_image(rgb_img, grayscale_cam, use_rgb=True)
    assert visualization.shape == (70, 90, 3)
    assert visualization.dtype == np.uint8
    with pytorch_grad_cam.GradCAM(model=model, target_layers=target_layers) as theirs:
        expected = theirs(input_tensor=input_tensor, targets=targets)
    np.testing.assert_allclose(grayscale_cam, expected[0], atol=1e-3)
    drawn = show_cam_on_image(rgb_img, expected[0], use_rgb=True)
    assert np.abs(visualization.astype(int) - drawn).max() <= 6  # steps of the colour table


def test_class_ids_and_targets_may_stand_side_by_side(model, input_tensor):
    cam = GradCAM(model, [model.layer4[-1]])
    mixed = cam(input_tensor, [281, ClassifierOutputTarget(3)])
    np.testing.assert_array_equal(mixed, cam(input_tensor, [ClassifierOutputTarget(281), 3]))
    np.testing.assert_allclose(mixed, cam(input_tensor, [281, 3]), atol=1e-9)


def test_a_target_of_one_logit_gives_the_packages_map(input_tensor):
    torch.manual_seed(0)
    model, targets = resnet18(num_classes=1).eval(), [BinaryClassifierOutputTarget(c) for c in (0, 1)]
    found = GradCAM(model, [model.layer4[-1]])(input_tensor.float(), targets)
    # The package adds up lists of one number alone where there is one image.
    theirs = pytorch_grad_cam.GradCAM(model, [model.layer4[-1]])
    for index, target in enumerate(targets):
        expected = theirs(input_tensor.float()[index : index + 1], [target])
        np.testing.assert_allclose(found[index], expected[0], atol=1e-3)


@pytest.mark.parametrize("ids", [np.array([281, 3]), list(np.array([281, 3])), torch.tensor([281, 3])])
def test_class_ids_may_come_in_arrays_and_tensors(model, input_tensor, ids):
    cam = GradCAM(model, [model.layer4[-1]])
    np.testing.assert_array_equal(cam(input_tensor, ids), cam(input_tensor, [281, 3]))
    mixed = cam(input_tensor, [ids[0], ClassifierOutputTarget(3)])
    np.testing.assert_allclose(mixed, cam(input_tensor, [281, 3]), atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rounding_is_taken_back_and_other_statistics_are_told(model, dtype):
    pixels = torch.rand(
        2, 3, 40, 50, generator=torch.Generator().manual_seed(2)
    ).round()  # at the range's ends
    given, layers = normalize(pixels.to(dtype), MEAN, STD), [model.layer4[-1]]
    cam = OptiCAM(model, layers, mean=MEAN, std=STD, iterations=0)
    cam(given, [1, 2])
    assert (cam._images - pixels).abs().max() <= 4 * torch.finfo(dtype).eps
    other = OptiCAM(model, layers, mean=(0.5,) * 3, std=(0.5,) * 3, iterations=0)
    with pytest.raises(ValueError, match=r"images: pixels must be finite and in \[0, 1\]"):
        other(given, [1, 2])


@pytest.mark.parametrize("name", ["GradCAM", "GradCAMPlusPlus", "XGradCAM", "HiResCAM", "LayerCAM"])
@pytest.mark.parametrize("layers", [1, 2])
def test_several_layers_are_averaged_as_in_the_package(model, input_tensor, name, layers):
    target_layers = [model.layer3[-1], model.layer4[-1]][:layers]
    found = getattr(grad_cam, name)(model, target_layers)(input_tensor.float())
    expected = getattr(pytorch_grad_cam, name)(model, target_layers)(input_tensor, None)
    assert found.dtype == np.float32
    # The package normalises each layer's map before it enlarges it, ours after; for one layer it is the same.
    np.testing.assert_allclose(found, expected, atol=1e-3 if layers == 1 else 1e-2)


def test_with_mean_and_std_pixels_are_masked(model, input_tensor, rgb_images):
    layer, options = model.layer1[-1], {"mean": MEAN, "std": STD}
    classifier = opticam.Classifier(model, layer, **options)
    for adapted, own in ((OptiCAM, opticam.OptiCAM), (ScoreCAM, opticam.ScoreCAM)):
        own_options = {"iterations": 1} if own is opticam.OptiCAM else {"align_corners": False}
        expected = own(classifier, **own_options)(rgb_images, [7, 8]).numpy()
        raw = adapted(model, [layer], **options, **own_options)(input_tensor, [7, 8])
        as_given = adapted(model, [layer], **own_options)(input_tensor, [7, 8])
        np.testing.assert_allclose(raw, expected, atol=1e-9)
        assert np.abs(as_given - expected).max() > 1e-3


@pytest.mark.parametrize("layer", ["layer3", "layer4"])
def test_score_cam_gives_the_packages_map(model, input_tensor, layer):
    """As it is: its `UpsamplingBilinear2d` aligns corners."""
    images, targets = input_tensor[:1].float(), [ClassifierOutputTarget(281)]
    network = copy.deepcopy(model).float()
    layers = [network.get_submodule(layer)[-1]]
    expected = pytorch_grad_cam.ScoreCAM(network, layers)(images, targets)
    np.testing.assert_allclose(ScoreCAM(network, layers)(images, targets), expected, atol=1e-3)
    assert np.abs(ScoreCAM(network, layers, align_corners=False)(images, targets) - expected).max() > 1e-2


def test_opti_cam_takes_several_layers_as_one(model, input_tensor):
    layers = [model.layer3[-1], model.layer4[-1]]
    found = OptiCAM(model, layers, iterations=1)(input_tensor, [4, 4])
    classifier = opticam.Classifier(model, layers[0], mean=(0,), std=(1,), pixel_range=None)
    expected = opticam.OptiCAM(classifier, iterations=1, layers=layers)(input_tensor, 4)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_reshape_transform(input_tensor):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 10, 10), torch.nn.Flatten(2), torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten()
    )
    network.double()
    found = GradCAM(network, [network[1]], lambda flat: flat.unflatten(2, (7, 9)))(input_tensor, [1, 2])
    np.testing.assert_allclose(found, GradCAM(network, [network[0]])(input_tensor, [1, 2]), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "call", "error", "match"),
    [
        ({"target_layers": "layer4"}, {}, TypeError, "target_layers"),
        ({"target_layers": []}, {}, ValueError, "target_layers"),
        ({"mean": MEAN}, {}, ValueError, "mean, std"),
        ({}, {"targets": [ClassifierOutputTarget(1)]}, ValueError, "targets: expected 2"),
        ({}, {"aug_smooth": True}, ValueError, "aug_smooth"),
    ],
)
def test_bad_arguments_are_named(model, input_tensor, arguments, call, error, match):
    with pytest.raises(error, match=match):
        GradCAM(**{"model": model, "target_layers": [model.layer4[-1]], **arguments})(input_tensor, **call)


def test_a_layer_instead_of_a_list_is_explained(model):
    with pytest.raises(TypeError, match="target_layers: expected a list of layers, got BasicBlock"):
        GradCAM(model, model.layer4[-1])
    with pytest.raises(RuntimeError, match="outputs: there is none before the first call"):
        GradCAM(model, [model.layer4[-1]]).outputs  # noqa: B018


def test_an_exception_inside_leaves_no_hooks(model, input_tensor):
    def failing(output):
        raise IndexError("target failed")

    with pytest.raises(IndexError, match="target failed"), GradCAM(model, [model.layer4[-1]]) as cam:
        cam(input_tensor, [failing, failing])
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
