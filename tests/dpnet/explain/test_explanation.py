import pytest
import torch
from tolerances import assert_close

from dpnet.data.geometry import to_pixels
from dpnet.explain.explanation import (
    best_boxes,
    centred_participation,
    class_participation,
    image_participation,
    part_heat_map,
    participation_map,
    spread_over_cells,
)
from dpnet.explain.gallery import top_images
from dpnet.model.part_layer import PartClassifier
from dpnet.model.regions import RegionScheme

SCHEMES = [RegionScheme(), RegionScheme("pyramid", (1, 3)), RegionScheme("squares", x_norm="none")]


def build(scheme, dtype=torch.float64):
    torch.manual_seed(0)
    model = PartClassifier(13, 3, parts_per_class=4, scheme=scheme).to(dtype)
    features = torch.rand(7, 13, 5, 4, dtype=dtype) ** 3
    return model, features, torch.tensor([0, 1, 2, 0, 1, 0, 1])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_exact_map_and_the_participations_sum_to_the_logit_minus_the_bias(scheme, dtype):
    model, features, classes = build(scheme, dtype)
    output = model(features)
    expected = output.logits[torch.arange(7), classes] - model.classifier.bias[classes]
    terms = 13 + 12 + 20  # dimensions, parts and cells
    assert_close(participation_map(model, features, classes).sum(dim=(1, 2)), expected, terms)
    assert_close(image_participation(model, output, classes).sum(dim=1), expected, terms)


def test_the_exact_map_puts_each_part_where_it_was_found():
    model, features, classes = build(RegionScheme())
    output = model(features)
    maps = participation_map(model, features, classes)
    expected = torch.zeros(7, 5, 4, dtype=torch.float64)
    for image in range(7):
        for part in range(12):
            row, column = divmod(output.argmax_region[image, part].item(), 4)
            expected[image, row, column] += (
                model.classifier.weight[classes[image], part] * output.bag_of_parts[image, part]
            ).item()
    torch.testing.assert_close(maps, expected)


def test_the_dense_map_of_cells_is_a_class_activation_map():
    model, features, classes = build(RegionScheme(x_norm="none"))
    weights = (model.classifier.weight @ model.unit_parts)[classes]
    expected = torch.einsum("bd,bdhw->bhw", weights, features)
    torch.testing.assert_close(participation_map(model, features, classes, "dense"), expected)


def test_centred_participation_is_the_logit_against_that_of_the_average_bag():
    model, features, classes = build(RegionScheme())
    output = model(features)
    mean = output.bag_of_parts.mean(dim=0)
    centred = centred_participation(model, output, classes, mean)
    expected = output.logits[torch.arange(7), classes] - model.classifier(mean)[classes]
    torch.testing.assert_close(centred.sum(dim=1), expected)


def test_class_participation_averages_the_images_of_each_class():
    model, features, labels = build(RegionScheme())
    result = class_participation(model, features, labels)
    per_image = image_participation(model, model(features), labels)
    for label in range(3):
        expected = per_image[labels == label].mean(dim=0).float()
        torch.testing.assert_close(result.participation[label], expected)
    mean = model(features).bag_of_parts.mean(dim=0)
    centred = centred_participation(model, model(features), labels, mean)
    torch.testing.assert_close(result.centred[1], centred[labels == 1].mean(dim=0).float())


def test_class_participation_is_the_same_from_any_batches():
    model, features, labels = build(RegionScheme())

    class Bounded:
        """Three images at a time."""

        shape, block_size = features.shape, 3

        def __len__(self):
            return len(features)

        def __getitem__(self, indices):
            assert len(indices) <= 3
            return features[indices]

    whole, bounded = (class_participation(model, given, labels) for given in (features, Bounded()))
    for expected, found in zip(whole, bounded):
        assert_close(found, expected, len(features))


def test_a_class_without_images_has_no_participation():
    model, features, labels = build(RegionScheme())
    result = class_participation(model, features, labels.clamp(max=1))
    assert result.participation[2].abs().max() == 0 and result.centred[2].abs().max() == 0


def test_heat_maps_reach_the_score_of_the_part_inside_its_best_box():
    model, features, _ = build(RegionScheme("pyramid", (2, 3)))
    output = model(features)
    parts = torch.tensor([0, 5, 11])
    heat = part_heat_map(model, features, parts)
    assert heat.shape == (7, 3, 5, 4)
    torch.testing.assert_close(heat.amax(dim=(2, 3)), output.bag_of_parts[:, parts])
    boxes = best_boxes(model, output, (5, 4), (5, 4)).long()
    for image in range(7):
        for position, part in enumerate(parts.tolist()):
            x1, y1, x2, y2 = boxes[image, part].tolist()
            inside = heat[image, position, y1:y2, x1:x2]
            torch.testing.assert_close(
                inside, inside.new_full(inside.shape, heat[image, position].max().item())
            )


def test_spreading_keeps_the_sum_and_the_box():
    scheme = RegionScheme("pyramid", (2,))
    spread = spread_over_cells(torch.tensor([[8.0, 0, 0, 0]]), scheme.cell_boxes(3, 3), (3, 3))
    assert spread[0].tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 0]]


def test_to_pixels_upsamples_each_map_alone():
    maps = torch.rand(2, 3, 5, 4)
    expected = torch.nn.functional.interpolate(maps, size=(20, 28), mode="bicubic", align_corners=False)
    torch.testing.assert_close(to_pixels(maps, (20, 28)), expected)
    torch.testing.assert_close(to_pixels(maps[:, 0], (20, 28)), expected[:, 0])


def test_the_streamed_gallery_is_the_sorted_matrix_of_responses():
    model, _, _ = build(RegionScheme("squares"))
    features = torch.rand(600, 13, 5, 4, dtype=torch.float64) ** 3  # three batches
    output = model(features)
    gallery = top_images(model, features, k=5)
    expected = output.bag_of_parts.T.topk(5, dim=1)
    torch.testing.assert_close(gallery.responses, expected.values.float())
    assert torch.equal(gallery.images, expected.indices)
    assert torch.equal(gallery.regions, output.argmax_region.T.long().gather(1, expected.indices))


def test_bad_arguments_are_named():
    model, features, classes = build(RegionScheme())
    with pytest.raises(ValueError, match="kind is 'cam'"):
        participation_map(model, features, classes, "cam")
    with pytest.raises(ValueError, match="k is 8; there are 7 images"):
        top_images(model, features, k=8)
