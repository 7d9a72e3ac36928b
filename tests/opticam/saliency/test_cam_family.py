import warnings

import pytest
import torch
import torchvision
from captum.attr import LayerGradCam
from tolerances import assert_close
from torch import nn

from opticam import (
    CAM,
    AblationCAM,
    Classifier,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    ScoreCAM,
    XGradCAM,
)
from opticam.masking import upsample_and_normalize
from opticam.saliency.methods.score_cam import _aligned_masks

FAMILY = (CAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, XGradCAM, ScoreCAM, AblationCAM)


@pytest.mark.parametrize("method", [GradCAM, XGradCAM, HiResCAM])
def test_methods_coincide_on_global_average_and_one_linear_layer(classify, images, targets, method):
    classifier = classify("gap", torch.float64)
    expected = CAM(classifier)(images.double(), targets)
    torch.testing.assert_close(method(classifier)(images.double(), targets), expected, rtol=0, atol=1e-5)


def normed(eps, affine):
    """A convolution, a layer norm of each position's channels, the mean of squares, and one linear layer."""
    torch.manual_seed(0)

    class Positions(nn.LayerNorm):
        def forward(self, maps):
            return super().forward(maps.movedim(1, -1)).movedim(-1, 1)

    class Squares(nn.Module):
        def forward(self, maps):
            return maps.square().mean((2, 3))

    norm = Positions(24, eps=eps, elementwise_affine=affine)
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    return nn.Sequential(nn.Conv2d(3, 24, 5, 3), norm, Squares(), nn.Linear(24, 7))


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hires_cam_in_front_of_a_layer_norm_is_rounding_and_told_once(images, targets, dtype, affine):
    # What is behind the norm is homogeneous of degree 0 in front of it: by Euler the products add up to zero.
    network, images = normed(0, affine).to(dtype), images.to(dtype)
    with pytest.warns(UserWarning, match="target_layer: its channels times their gradients add up") as told:
        HiResCAM(Classifier(network, "0"))(images, targets)
    assert len(told) == 1 and told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        HiResCAM(Classifier(network, "1"))(images, targets)
        LayerCAM(Classifier(network, "0"))(images, targets)
        HiResCAM(Classifier(normed(1e-2, affine).to(dtype), "0"))(images, targets)  # eps leaves more


def test_cam_is_the_average_of_the_class_evidence(classify, images, targets):
    classifier, images = classify("gap", torch.float64), images.double()
    weight = classifier.network.fc.weight[targets]
    evidence = (weight[:, :, None, None] * classifier.features(images)).sum(1)
    logits = evidence.mean((1, 2)) + classifier.network.fc.bias[targets]
    torch.testing.assert_close(logits, classifier(images).gather(1, targets[:, None])[:, 0])
    expected = upsample_and_normalize(evidence.relu(), (35, 35)).detach()
    torch.testing.assert_close(CAM(classifier)(images, targets), expected)


def test_cam_reads_a_convolutional_head():
    torch.manual_seed(1)
    network = torchvision.models.squeezenet1_1(num_classes=6).double().eval()
    classifier, pixels = Classifier(network), torch.rand(2, 3, 65, 70, dtype=torch.float64)
    weight = network.classifier[1].weight[4].detach()
    expected = upsample_and_normalize((weight * classifier.features(pixels)).sum(1).relu(), (65, 70))
    torch.testing.assert_close(CAM(classifier)(pixels, 4), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_cam_is_defined_in_half_precision(classify, images, targets, dtype):
    """There one layer on the mean of the maps gives the logits but for a rounding of each."""
    classifier = classify("gap", dtype, optimize="exact")
    assert CAM.applies_to(classifier)
    assert CAM(classifier)(images, targets).isfinite().all()


@pytest.mark.parametrize("name", ["vgg", "vit"])
def test_cam_refuses_other_networks(classify, images, name):
    classifier = classify(name)
    assert not CAM.applies_to(classifier)
    with pytest.raises(ValueError, match="classifier: CAM needs logits that are one layer on"):
        CAM(classifier)(images)


def test_cam_refuses_a_layer_in_front_of_the_last(classify, images):
    classifier = classify("gap", target_layer="block")
    assert not CAM.applies_to(classifier)
    with pytest.raises(ValueError, match="classifier: CAM needs"):
        CAM(classifier)(images)


@pytest.mark.parametrize("name", ["gap", "vgg"])
def test_grad_cam_equals_captums(classify, images, targets, name):
    # Captum's map is neither upsampled nor normalised, and it takes the normalised tensor.
    classifier, images = classify(name, torch.float64), images.double()
    layer = LayerGradCam(classifier.network, classifier.target_layer)
    tensor = (images - classifier.mean) / classifier.std
    raw = layer.attribute(tensor, targets, relu_attributions=True)[:, 0].detach()
    expected = upsample_and_normalize(raw, (35, 35))
    torch.testing.assert_close(GradCAM(classifier)(images, targets), expected)


def slow_ablation_weights(network, features, target):
    full = network.last_part(features)[target]
    weights = []
    for channel in range(features.shape[0]):
        changed = features.clone()
        changed[channel] = 0
        weights.append((full - network.last_part(changed)[target]) / full)
    return torch.stack(weights)


@pytest.mark.parametrize("max_batch", [1, 4, 1000])
def test_ablation_cam_equals_the_loop_over_channels(classify, images, targets, max_batch):
    classifier = classify("vgg", torch.float64)
    network, images = classifier.network, images.double()
    network.last_part = lambda maps: network[5:](maps[None].clone())[0]
    features = classifier.features(images)
    weights = torch.stack([slow_ablation_weights(network, a, int(c)) for a, c in zip(features, targets)])
    expected = upsample_and_normalize((weights[:, :, None, None] * features).sum(1).relu(), (35, 35))
    maps = AblationCAM(classifier, max_batch=max_batch)(images, targets)
    torch.testing.assert_close(maps, expected.detach(), rtol=0, atol=1e-6)


class Joining(nn.Module):
    """Behind its target layer the maps meet others of the input's batch size: added, or concatenated."""

    def __init__(self, concatenate):
        super().__init__()
        self.first, self.target = nn.Conv2d(3, 6, 3, 2), nn.Conv2d(6, 6, 3, padding=1)
        self.fc = nn.Linear(12 if concatenate else 6, 5)
        self.concatenate = concatenate

    def forward(self, images):
        first = self.first(images).relu()
        target = self.target(first)
        joined = torch.cat([first, target], 1) if self.concatenate else first + target.relu()
        return self.fc(joined.square().mean((2, 3)))


@pytest.mark.parametrize(("concatenate", "branches"), [(False, True), (True, False)])
def test_ablation_cam_behind_a_skip_connection(images, concatenate, branches):
    torch.manual_seed(0)
    classifier, images = Classifier(Joining(concatenate).double(), "target"), images.double()
    method = AblationCAM(classifier, max_batch=4)
    assert method._branches(images[:1]) == branches
    _, weights = method.weigh(images, lambda logits: logits[:, 2])
    full = classifier(images)[:, 2]

    def without_channel_3(output):
        return output * (torch.arange(6) != 3)[:, None, None]

    changed = classifier.logits_with(images, without_channel_3)[:, 2]
    torch.testing.assert_close(weights[:, 3, 0, 0], (full - changed) / full)


class Counting(Joining):
    """What joins the maps behind the target layer grows with the batch that came in."""

    def forward(self, images):
        first = self.first(images).relu()
        return self.fc((self.target(first) + first.sum(0)).relu().mean((2, 3)))


def test_ablation_cam_makes_variants_at_the_input_where_those_at_the_layer_change_a_logit(images):
    torch.manual_seed(0)
    method = AblationCAM(Classifier(Counting(concatenate=False).double(), "target", optimize="exact"))
    assert not method._branches(images[:1].double())


def test_ablation_cam_is_not_for_tokens(classify, images):
    assert not AblationCAM.applies_to(classify("vit"))
    with pytest.raises(TypeError, match="target_layer: Ablation-CAM needs maps"):
        AblationCAM(classify("vit"))(images)


@pytest.mark.parametrize("method", [ScoreCAM, AblationCAM])
@pytest.mark.parametrize("max_batch", [1, 3, 8, 1000])
def test_chunks_change_nothing_and_are_bounded(classify, images, targets, method, max_batch):
    classifier, images = classify("gap", torch.float64, optimize="exact"), images.double()
    expected = method(classifier)(images, targets)
    sizes = []
    classifier.network.fc.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    maps = method(classifier, max_batch=max_batch)(images, lambda y: y.gather(1, targets[:, None])[:, 0])
    torch.testing.assert_close(maps, expected)
    assert max(sizes) <= max(max_batch, len(images))


@pytest.mark.parametrize("method", [ScoreCAM, AblationCAM])
def test_max_batch_must_be_positive(classify, method):
    with pytest.raises(ValueError, match="max_batch: must be 1 or more, got 0"):
        method(classify("gap"), max_batch=0)


@pytest.mark.parametrize("method", FAMILY)
def test_a_map_does_not_depend_on_batch_mates(classify, images, targets, method):
    method, images = method(classify("gap", torch.float64)), images.double()
    together = method(images, targets)
    alone = torch.cat([method(images[i : i + 1], targets[i : i + 1]) for i in range(len(images))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


def test_dead_channels_give_finite_maps(classify, images):
    classifier = classify("gap")
    with torch.no_grad():
        classifier.network.fc.weight.zero_()
    for method in FAMILY:
        assert torch.isfinite(method(classifier)(images, 2)).all(), method.__name__


@pytest.mark.parametrize("method", [GradCAM, GradCAMPlusPlus, XGradCAM, HiResCAM, LayerCAM])
def test_gradient_methods_take_one_forward_pass_also_for_the_predicted_class(method, classify, images):
    """The prediction is read off the pass that the map needs anyway, and it is the right one."""
    classifier = classify("gap", optimize="exact")
    predicted = classifier(images).argmax(1)
    passes = []
    handle = classifier.network.register_forward_pre_hook(lambda *_: passes.append(1))
    maps = method(classifier)(images)
    handle.remove()
    assert len(passes) == 1
    assert torch.equal(maps, method(classifier)(images, predicted))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_aligned_corners_upsample_in_the_dtype_of_the_run(classify, images, dtype):
    """A channel that is linear in place keeps a closed form: corners aligned, its mask is the ramp itself."""
    rows = torch.arange(7, dtype=dtype)[:, None].expand(7, 7)
    features, pixels = torch.stack([rows, 3 - 2 * rows.T])[None], images[:1].to(dtype)
    ramp = torch.linspace(0, 1, 35, dtype=torch.float64)
    expected = torch.stack([ramp[:, None].expand(35, 35), 1 - ramp.expand(35, 35)])
    masked = _aligned_masks(features, pixels, torch.arange(2))
    assert masked.dtype == dtype
    terms = 4  # of a bilinear sum
    assert_close(masked[0].double(), pixels.double() * expected[:, None], terms, dtype)


def test_no_images_have_no_channel_logits(classify, images):
    method = ScoreCAM(classify("gap"))
    seen = method.channel_logits(images[:0])
    assert seen.logits.shape == (0, 12, 7)
    assert method.maps_of(seen, images[:0], 1).shape == (0, 35, 35)


def test_score_cam_tells_of_every_class_from_the_passes_of_one(classify, images, targets):
    method = ScoreCAM(classify("gap", torch.float64))
    seen = method.channel_logits(images.double())
    for classes in (targets, (targets + 1) % seen.logits.shape[2], None):
        expected = method(images.double(), classes)
        torch.testing.assert_close(method.maps_of(seen, images.double(), classes), expected)
    some = [2, 0]
    part = method.maps_of(seen.part(some), images[some].double(), targets[some])
    torch.testing.assert_close(part, method(images[some].double(), targets[some]))
    with pytest.raises(ValueError, match="seen: is of 2 images"):
        method.maps_of(seen.part(some), images.double(), targets)
