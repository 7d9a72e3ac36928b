"""Hand-computed cases on 4 x 4 maps, and plain NumPy readings of both protocols on random ones."""

import math

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from opticam import Classifier, FakeCAM
from opticam.metrics import centre_map, localization, saliency_metric, whole_image_map

# Sum 8, mean 0.5; above the mean: a square of four ones, and the single 0.75 and 0.75 beside the lower border.
SQUARE = torch.tensor(
    [
        [0.00, 0.0, 0.00, 0.25],
        [0.00, 1.0, 1.00, 0.25],
        [0.00, 1.0, 1.00, 0.50],
        [0.75, 0.5, 0.75, 1.00],
    ]
)
TRUE = torch.tensor([True])
BOX = torch.tensor([[10.0, 20, 300, 310]])


class Constant(torch.nn.Module):
    """The same logits for every image."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, images):
        return self.logits.expand(len(images), -1)


def one(metric, saliency_map, boxes, **options):
    boxes = [torch.tensor(boxes, dtype=torch.float32)]
    return localization(saliency_map[None], boxes, TRUE, **options)[metric].item()


def test_paper_with_several_boxes():
    """B_p: the ones with the 0.75 and 1 below them, columns 1 to 3, rows 1 to 3, area 9."""
    boxes = [[1, 1, 3, 3], [0, 3, 1, 4]]
    assert one("LE", SQUARE, boxes) == pytest.approx(100 * (1 - 4 / 9))
    # Inside the union: 4 + 0.75; sum of the map 8; |U| = 5.
    assert one("EP", SQUARE, boxes) == pytest.approx(100 * 4.75 / 8)
    assert one("F1", SQUARE, boxes) == pytest.approx(100 * 2 * 4.75 / (8 + 5))
    assert one("SP", SQUARE, boxes) == 100
    assert one("SP", SQUARE, [[3, 3, 4, 4]]) == 0  # ties: the first maximum points, at row 1, column 1


def test_paper_with_a_box_at_the_border():
    boxes = [[2, 2, 4, 4]]
    assert one("LE", SQUARE, boxes) == pytest.approx(100 * (1 - 4 / 9))
    assert one("EP", SQUARE, boxes) == pytest.approx(100 * 3.25 / 8)
    assert one("F1", SQUARE, boxes) == pytest.approx(100 * 2 * 3.25 / (8 + 4))


def test_paper_overlapping_boxes_count_once():
    assert one("EP", SQUARE, [[1, 1, 3, 3], [1, 1, 3, 2]]) == pytest.approx(100 * 4 / 8)


def test_official_metric_counts_a_wrong_class_as_a_miss():
    boxes = [torch.tensor([[1.0, 1, 4, 4]])]
    assert localization(SQUARE[None], boxes, TRUE)["OM"].item() == pytest.approx(0)
    assert localization(SQUARE[None], boxes, ~TRUE)["OM"].item() == 100
    assert localization(SQUARE[None], boxes, ~TRUE, protocol="legacy")["OM"].item() == 100


def test_legacy_hand_computed():
    """B_p without its last row and column: columns 1 to 2, rows 1 to 2, area 4."""
    assert one("LE", SQUARE, [[1, 1, 3, 3]], protocol="legacy") == 0
    assert one("LE", SQUARE, [[1, 1, 3, 5]], protocol="legacy") == 100  # IoU 4 / 8 is not above 0.5
    # The area of an unclipped box counts in full: P = 3.25 / 8, R = 3.25 / 16.
    precision, recall = 3.25 / 8, 3.25 / 16
    expected = 100 * 2 * precision * recall / (precision + recall)
    assert one("F1", SQUARE, [[2, 2, 6, 6], [0, 0, 1, 1]], protocol="legacy") == pytest.approx(
        expected, rel=1e-5
    )


def test_legacy_games_read_x_as_the_row():
    corner = torch.zeros(4, 4)
    corner[0, 3] = 1  # top right
    assert one("SP", corner, [[0, 3, 1, 4]], protocol="legacy") == 100
    assert one("SP", corner, [[3, 0, 4, 1]], protocol="legacy") == 0
    assert one("EP", corner, [[0, 3, 1, 4]], protocol="legacy") == pytest.approx(100)
    assert one("EP", corner, [[3, 0, 4, 1]], protocol="legacy") == 0
    # Rows -1:2 of 4 are rows 3:2, which is nothing.
    assert one("EP", corner, [[-1, 0, 2, 4]], protocol="legacy") == 0
    assert one("SP", corner, [[-1, 0, 2, 4]], protocol="legacy") == 100


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_maps(value):
    """Nothing lies above the mean: the paper's B_p is empty, the authors' code takes the background."""
    constant = torch.full((4, 4), value)
    boxes = [[0, 0, 2, 4]]
    assert one("LE", constant, boxes) == 100
    assert one("LE", constant, [[0, 0, 3, 3]], protocol="legacy") == 0
    share = 50 if value else 0
    assert one("EP", constant, boxes) == pytest.approx(share)
    assert one("EP", constant, boxes, protocol="legacy") == pytest.approx(share)
    assert one("F1", constant, boxes) == pytest.approx(100 * 2 * value * 8 / (16 * value + 8))
    assert one("SP", constant, boxes) == 100  # the first pixel points
    assert one("SP", constant, [[2, 0, 4, 4]]) == 0
    assert one("SP", constant, [[2, 0, 4, 4]], protocol="legacy") == 100  # any tied maximum may


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("protocol", ["paper", "legacy"])
def test_half_precision_keeps_the_sums(protocol, dtype):
    """Fake-CAM at 384 x 384: its sum of 147,455 is beyond float16, its mean rounds to 1 in both."""
    side, found = 384, localization(whole_image_map(1, 384, 384).to(dtype), [BOX], TRUE, protocol)
    inside, whole = (300 - 10) * (310 - 20), side * side - 1
    precision, recall, share = inside / whole, 1.0, inside / side**2
    error = 1 - share if protocol == "paper" else float(share <= 0.5)
    expected = {"LE": error, "F1": 2 * precision * recall / (precision + recall), "EP": precision}
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(100 * value, abs=1e-3), name
    maps = torch.rand(2, 48, 64, generator=torch.Generator().manual_seed(6)).to(dtype)
    exact = localization(maps.double(), [BOX] * 2, TRUE.repeat(2), protocol)
    for name, values in localization(maps, [BOX] * 2, TRUE.repeat(2), protocol).items():
        torch.testing.assert_close(values, exact[name].float(), msg=name)


def test_saliency_metric_in_half_precision_finds_the_whole_image():
    classifier, whole = Classifier(Constant(torch.zeros(1, 4)), ""), whole_image_map(1, 384, 384).half()
    found = saliency_metric(classifier, torch.ones(1, 3, 384, 384), whole, torch.tensor([0]))
    assert found.item() == pytest.approx(math.log(4))


def legacy_by_loops(saliency_map, boxes):
    """Box by box with NumPy slices, following the description of the authors' code."""
    height, width = saliency_map.shape
    above = (saliency_map > saliency_map.mean()).astype(float)
    labels, _ = ndimage.label(above)
    component = labels == np.argmax(np.bincount(labels.ravel(), weights=above.ravel()))
    columns, rows = np.flatnonzero(component.any(0)), np.flatnonzero(component.any(1))
    rectangle = np.zeros((height, width))
    rectangle[rows[0] : rows[-1], columns[0] : columns[-1]] = 1
    ious, f1s, energy_mask, hit = [], [], np.zeros((height, width)), False
    for x1, y1, x2, y2 in boxes:
        inside = np.zeros((height, width))
        inside[
            np.clip(y1, 0, height) : np.clip(y2, 0, height), np.clip(x1, 0, width) : np.clip(x2, 0, width)
        ] = 1
        area = (x2 - x1) * (y2 - y1)
        common = (rectangle * inside).sum()
        ious.append(common / (rectangle.sum() + area - common))
        precision = (saliency_map * inside).sum() / (saliency_map.sum() + 1e-6)
        recall = (saliency_map * inside).sum() / area
        f1s.append(2 * precision * recall / (precision + recall + 1e-6))
        energy_mask[x1:x2, y1:y2] = 1
        for row, column in zip(*np.where(saliency_map == saliency_map.max())):
            hit = hit or (x1 <= row <= x2 and y1 <= column <= y2)
    error = 1 - (max(ious) > 0.5)
    energy = (saliency_map * energy_mask).sum() / saliency_map.sum()
    return {"LE": 100 * error, "F1": 100 * max(f1s), "SP": 100 * hit, "EP": 100 * energy}


def paper_by_loops(saliency_map, boxes):
    """Pixel sets for everything; boxes are whole numbers, so IoU is a ratio of pixel counts."""
    above = saliency_map > saliency_map.mean()
    labels, count = ndimage.label(above)
    component = labels == 1 + np.argmax(ndimage.sum_labels(above, labels, range(1, count + 1)))
    rows, columns = np.nonzero(component)
    predicted = np.zeros(above.shape, bool)
    predicted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    union, ious = np.zeros(above.shape, bool), []
    for x1, y1, x2, y2 in boxes:
        inside = np.zeros(above.shape, bool)
        inside[y1:y2, x1:x2] = True
        ious.append((predicted & inside).sum() / (predicted | inside).sum())
        union |= inside
    precision, recall = (
        saliency_map[union].sum() / saliency_map.sum(),
        saliency_map[union].sum() / union.sum(),
    )
    hit = union.ravel()[saliency_map.argmax()]
    f1 = 2 * precision * recall / (precision + recall)
    return {"LE": 100 * (1 - max(ious)), "F1": 100 * f1, "SP": 100 * hit, "EP": 100 * precision}


@pytest.mark.parametrize("protocol", ["paper", "legacy"])
def test_random_maps_match_plain_loops(protocol):
    rng = np.random.default_rng(5)
    height, width = 21, 17
    maps = ndimage.gaussian_filter(rng.random((40, height, width)), (0, 2, 2)).astype(np.float32)
    low, high = (0, 0) if protocol == "paper" else (-7, 9)
    boxes = []
    for _ in maps:
        count = rng.integers(1, 4)
        corners = rng.integers((low, low), (10, 8), (count, 2))
        ends = corners + rng.integers(3, (11 + high, 9 + high), (count, 2))
        limit = (width, height) if protocol == "paper" else (99, 99)
        boxes.append(np.concatenate([corners, np.minimum(ends, limit)], axis=1))
    correct = torch.from_numpy(rng.random(len(maps)) < 0.5)
    scores = localization(torch.from_numpy(maps), [torch.from_numpy(b) for b in boxes], correct, protocol)
    reference = legacy_by_loops if protocol == "legacy" else paper_by_loops
    expected = [reference(saliency_map.astype(float), image) for saliency_map, image in zip(maps, boxes)]
    for name in ("LE", "F1", "SP", "EP"):
        np.testing.assert_allclose(scores[name], [row[name] for row in expected], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(scores["OM"], np.where(correct, scores["LE"], 100), atol=1e-4)


def test_an_image_does_not_depend_on_its_batch():
    maps = torch.rand(5, 9, 11, dtype=torch.float64)
    boxes = [torch.tensor([[1, 2, 6, 7], [0, 0, 3, 3]])[: 1 + index % 2] for index in range(5)]
    correct = torch.ones(5, dtype=torch.bool)
    together = localization(maps, boxes, correct)
    for index in range(5):
        alone = localization(maps[index : index + 1], boxes[index : index + 1], correct[:1])
        for name, values in together.items():
            torch.testing.assert_close(alone[name][0], values[index])


def test_saliency_metric_by_hand():
    """A box of a quarter of the image: log 0.25 - log p, p from the crop resized with OpenCV."""
    images = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(3)).double()
    maps = torch.zeros(1, 8, 12)
    maps[0, 2:6, 3:9] = 1
    weights = torch.randn(5, 3 * 8 * 12, generator=torch.Generator().manual_seed(4)).double() / 10

    def classifier(pixels):
        return pixels.flatten(1) @ weights.T

    def expected(crop, area):
        resized = cv2.resize(crop.permute(1, 2, 0).numpy(), (12, 8), interpolation=cv2.INTER_CUBIC)
        logits = classifier(torch.from_numpy(resized).permute(2, 0, 1)[None])
        return math.log(area / 96) - logits.log_softmax(1)[0, 2].item()

    targets = torch.tensor([2])
    paper = saliency_metric(classifier, images, maps, targets)
    assert paper.item() == pytest.approx(expected(images[0, :, 2:6, 3:9], 24), abs=1e-4)
    legacy = saliency_metric(classifier, images, maps, targets, protocol="legacy")
    assert legacy.item() == pytest.approx(expected(images[0, :, 2:5, 3:8], 15), abs=1e-4)


def test_saliency_metric_of_an_empty_map_sees_a_black_image():
    def classifier(pixels):
        return torch.stack([pixels.sum((1, 2, 3)), torch.ones(len(pixels))], 1)

    score = saliency_metric(classifier, torch.ones(1, 3, 4, 4), torch.zeros(1, 4, 4), torch.tensor([0]))
    assert score.item() == pytest.approx(math.log(0.05) - math.log(1 / (1 + math.e)), abs=1e-5)


def test_saliency_metric_of_impossible_classes_keeps_its_digits():
    logits = torch.tensor([[0.0, 200.0]])  # in float32 the first has probability 0
    for probability, expected in (("softmax", 200.0), ("sigmoid", math.log(2))):
        classifier = Classifier(Constant(logits), "", probability=probability)
        found = saliency_metric(classifier, torch.ones(1, 3, 4, 4), SQUARE[None], torch.tensor([0]))
        assert found.item() == pytest.approx(math.log(9 / 16) + expected)
    classifier = Classifier(Constant(-logits), "", probability="sigmoid")
    found = saliency_metric(classifier, torch.ones(1, 3, 4, 4), SQUARE[None], torch.tensor([1]))
    assert found.item() == pytest.approx(math.log(9 / 16) + 200)


@pytest.mark.parametrize(
    ("classes", "target", "message"),
    [
        (5, 5, "targets must be class ids in 0..4"),
        (5, -1, "targets must be class ids in 0..4"),
        (1, 0, "one logit"),
    ],
)
def test_saliency_metric_refuses_what_every_probability_refuses(classes, target, message):
    def classifier(pixels):
        return torch.zeros(len(pixels), classes)

    with pytest.raises(ValueError, match=message):
        saliency_metric(classifier, torch.ones(1, 3, 4, 4), SQUARE[None], torch.tensor([target]))


def test_trivial_baselines():
    centre, whole = centre_map(2, 10, 14), whole_image_map(2, 10, 14)
    box = [torch.tensor([[7, 5, 8, 6]]), torch.tensor([[6, 4, 7, 5]])]
    both = TRUE.repeat(2)
    assert localization(centre, box, both)["SP"].tolist() == [100, 0]
    assert centre.amin() == 0 and centre.amax() == 1
    whole_box = [torch.tensor([[0, 0, 14, 10]])] * 2
    assert localization(whole, whole_box, both)["LE"].tolist() == [0, 0]
    pictures = torch.rand(2, 3, 10, 14)
    assert torch.equal(FakeCAM(Classifier(Constant(torch.zeros(1, 4)), ""))(pictures, 1), whole)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"protocol": "slides"}, ValueError, "protocol must be one of"),
        ({"boxes": [torch.empty(0, 4)]}, ValueError, "at least one box per image"),
        ({"maps": torch.full((1, 4, 4), float("inf"))}, ValueError, "maps must be finite"),
        ({"correct": torch.tensor([1])}, TypeError, "correct must be a bool tensor"),
        ({"correct": torch.tensor([True, True])}, TypeError, r"correct must be a bool tensor \[1\]"),
    ],
)
def test_bad_input_names_the_argument(change, error, message):
    arguments = {"maps": SQUARE[None], "boxes": [torch.ones(1, 4)], "correct": TRUE, "protocol": "paper"}
    with pytest.raises(error, match=message):
        localization(**(arguments | change))
