import pytest
import torch

from dpnet.explain.comparison import class_parts, compare_settings
from dpnet.explain.part_quality import part_localisation, part_purity
from dpnet.model.evaluation import interpretability, prepare
from dpnet.model.part_layer import PartClassifier
from dpnet.model.regions import RegionScheme


def known_parts(num_images=12):
    """Two true parts per image at known cells of a 4 x 6 map of 40 x 60 pixels; part 7 looks like e0, 9 like e1."""
    generator = torch.Generator().manual_seed(0)
    features = 0.05 * torch.rand(num_images, 5, 4, 6, generator=generator)
    features[:, 4] = 1.0
    centres, ids = [], []
    for image in range(num_images):
        cells = torch.randperm(24, generator=generator)[:2]
        rows, columns = cells // 6, cells % 6
        features[image, [0, 1], rows, columns] = 20.0
        centres.append(torch.stack([columns * 10 + 3.0, rows * 10 + 6.0], dim=1))
        ids.append(torch.tensor([7, 9]))
    return features, torch.arange(num_images) % 2, centres, ids


def part_model(*directions):
    model = PartClassifier(5, 2, parts_per_class=len(directions) // 2)
    with torch.no_grad():
        model.parts.copy_(torch.eye(5)[list(directions)])
    return model


def boxes(model):
    return model.boxes((4, 6), (40, 60))


def test_parts_that_follow_a_true_part_are_pure_and_background_parts_are_not():
    features, _, centres, ids = known_parts()
    model = part_model(0, 1, 4, 4)
    purity = part_purity(model, features, boxes(model), centres, ids, k=8)
    assert purity[:2].tolist() == [1.0, 1.0]
    assert purity[2:].max() < 0.5


def test_purity_counts_the_most_frequent_true_part_over_k():
    features, _, centres, ids = known_parts(num_images=4)
    ids = [torch.tensor([part, 9]) for part in (7, 7, 8, 7)]
    model = part_model(0, 1)
    purity = part_purity(model, features, boxes(model), centres, ids, k=4)
    assert purity.tolist() == [0.75, 1.0]
    of_regions = part_purity(model, prepare(model, features), boxes(model), centres, ids, k=4)
    assert torch.equal(purity, of_regions)


def test_the_nearest_true_part_counts_when_a_box_holds_several():
    features, _, _, _ = known_parts(num_images=3)
    model = part_model(0, 1)
    model.scheme = RegionScheme("pyramid", (4,))
    output = model(features)
    middle = model.scheme.boxes(4, 6, (40, 60))[output.argmax_region[:, 0].long()]
    x = (middle[:, 0] + middle[:, 2]) / 2
    centres = [torch.tensor([[value + 9.0, 20.0], [value - 2.0, 20.0]]) for value in x.tolist()]
    ids = [torch.tensor([5, 6])] * 3
    assert part_purity(model, features, boxes(model), centres, ids, k=3)[0].item() == 1.0
    far = [torch.tensor([5, 5]), torch.tensor([5, 6]), torch.tensor([6, 5])]
    assert part_purity(model, features, boxes(model), centres, far, k=3)[0].item() == pytest.approx(2 / 3)


def test_localisation_of_perfect_parts_and_of_chance():
    features, labels, centres, _ = known_parts()
    model, other = part_model(0, 0), part_model(4, 4)
    found = part_localisation(model, features, labels, boxes(model), centres)
    assert found["hit"] == 1.0
    assert found["hit_by_chance"] == pytest.approx(2 / 24)
    assert found["distance"] == pytest.approx((2**2 + 1**2) ** 0.5)
    missed = part_localisation(other, features, labels, boxes(other), centres)
    assert missed["hit"] < 0.3 and missed["distance"] > 5


def test_figures_of_a_class_agree_with_a_count_by_hand():
    features, _, _, _ = known_parts()
    model = part_model(0, 1, 0, 1)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.tensor([[3.0, 1, 0, 0], [0, 0, 1, 2]]))
    result = class_parts(model, features, 0, (40, 60), num_parts=2)
    assert sorted(result.parts.tolist()) == [0, 1]
    assert result.boxes.shape == (12, 2, 4)
    assert result.figures["distinct_regions"] == 2.0 and result.figures["box_iou"] == 0.0
    assert result.figures["own_share"] == 1.0 and result.figures["parts_90"] == 2.0
    both = compare_settings({"a": model, "b": part_model(0, 0, 1, 1)}, features, 0, (40, 60), 2)
    assert list(both) == ["a", "b"] and both["b"].figures["box_iou"] >= 0.0


def test_figures_of_a_class_count_what_speaks_against_it_and_the_parts_shown_alone():
    """Loops over images; V has both signs, and two of six parts are shown."""
    features = torch.randn(9, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = PartClassifier(5, 2, parts_per_class=3)
    result = class_parts(model, features, 1, (40, 60), num_parts=2)
    output = model(features)
    a = (model.classifier.weight[1] * output.bag_of_parts).detach()
    assert a.min() < 0 < a.max()
    assert result.parts.tolist() == sorted(range(6), key=a.mean(dim=0).tolist().__getitem__)[:-3:-1]
    shares = [sum(row[3:]) / sum(row) for row in a.abs().tolist()]
    assert result.figures["own_share"] == pytest.approx(sum(shares) / 9)
    shown = [set(row[result.parts].tolist()) for row in output.argmax_region]
    assert result.figures["distinct_regions"] == pytest.approx(sum(map(len, shown)) / 9)


def two_cells(*directions):
    """Two images of 1 x 2 cells of 10 x 10 pixels: a part along e0 is found in the left one, along e1 in the right."""
    model = PartClassifier(2, 2, parts_per_class=len(directions) // 2)
    with torch.no_grad():
        model.parts.copy_(torch.eye(2)[list(directions)])
    return model, torch.eye(2)[None, :, None].repeat(2, 1, 1, 1), model.boxes((1, 2), (10, 20))


def test_the_parts_of_an_image_s_own_class_are_located():
    """The true part is in the left cell, where those of class 0 alone are found."""
    model, features, boxes = two_cells(0, 0, 1, 1)
    centres = [torch.tensor([[5.0, 5.0]])] * 2
    found = part_localisation(model, features, torch.tensor([0, 1]), boxes, centres)
    assert found["hit"] == 0.5 and found["distance"] == pytest.approx((0 + 10) / 2)


def test_a_centre_on_the_edge_of_two_boxes_lies_in_the_right_one_alone():
    model, features, boxes = two_cells(0, 1)
    centres = [torch.tensor([[10.0, 5.0]])] * 2
    purity = part_purity(model, features, boxes, centres, [torch.tensor([3])] * 2, k=2)
    assert purity.tolist() == [0.0, 1.0]
    found = part_localisation(model, features, torch.tensor([0, 1]), boxes, centres)
    assert found["hit"] == found["hit_by_chance"] == 0.5


def test_an_image_with_fewer_true_parts_than_another_has_none_elsewhere():
    """Above all none in the picture's corner, which the left cell holds."""
    model, features, boxes = two_cells(0, 0)
    centres = [torch.tensor([[15.0, 5.0]]), torch.tensor([[15.0, 5.0], [16.0, 5.0]])]
    found = part_localisation(model, features, torch.tensor([0, 1]), boxes, centres)
    assert found["hit"] == 0.0 and found["distance"] == pytest.approx(10.0)
    ids = [torch.tensor([0]), torch.tensor([0, 1])]
    assert part_purity(model, features, boxes, centres, ids, k=2).tolist() == [0.0, 0.0]


def test_interpretability_agrees_with_loops_over_images():
    features, labels, _, _ = known_parts()
    torch.manual_seed(0)
    model = PartClassifier(5, 2, parts_per_class=3)
    figures = interpretability(model, features, labels)
    output = model(features, with_entropy=True)
    weight = model.classifier.weight.detach()
    a = torch.stack([weight[y] * b for y, b in zip(labels, output.bag_of_parts)]).detach()
    mean = torch.stack([a[labels == c].mean(dim=0).abs() for c in (0, 1)])
    share = mean / mean.sum(dim=1, keepdim=True)
    assert figures["own_class_mass"] == pytest.approx((share[0, :3].sum() + share[1, 3:].sum()).item() / 2)
    effective = torch.exp(-(share * share.log()).sum(dim=1)).mean().item()
    assert figures["effective_parts"] == pytest.approx(effective)
    own = [set(row[3 * y : 3 * y + 3].tolist()) for y, row in zip(labels, output.argmax_region)]
    assert figures["distinct_regions"] == pytest.approx(sum(map(len, own)) / 12)
    counts = []
    for row in a.abs():
        total, taken = 0.0, 0
        for value in sorted(row.tolist(), reverse=True):
            if total >= 0.9 * row.sum().item():
                break
            total, taken = total + value, taken + 1
        counts.append(taken)
    assert figures["parts_90"] == pytest.approx(sum(counts) / 12)
    assert figures["entropy"] == pytest.approx(output.entropy.mean().item(), rel=1e-5)
