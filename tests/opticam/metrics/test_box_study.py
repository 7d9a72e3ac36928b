import numpy as np
import pytest
import torch

from opticam.metrics import REGIONS, box_study, faithfulness, region_masks

BOXES = [torch.tensor([[1, 2, 6, 5], [4, 0, 9, 3]]), torch.tensor([[-2, 1, 4, 9]])]


def classifier(images):
    weights = torch.randn(4, 3 * 8 * 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return images.double().flatten(1) @ weights.T


def inputs():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, 8, 9, generator=generator), torch.rand(2, 8, 9, generator=generator)


@pytest.mark.parametrize("protocol", ["paper", "legacy"])
def test_regions_are_numpy_slices_of_the_map(protocol):
    _, maps = inputs()
    masks = region_masks(maps, BOXES, protocol)
    for index, boxes in enumerate(BOXES):
        inside = np.zeros((8, 9), bool)
        for x1, y1, x2, y2 in boxes.tolist():
            if protocol == "legacy":
                inside[x1:x2, y1:y2] = True
            else:
                inside[max(y1, 0) : y2, max(x1, 0) : x2] = True
        saliency_map = maps[index].numpy()
        expected = (inside, ~inside, saliency_map, saliency_map * inside, saliency_map * ~inside)
        for region, mask in zip(REGIONS, expected):
            np.testing.assert_array_equal(masks[region][index], mask)


@pytest.mark.parametrize("protocol", ["paper", "legacy"])
def test_scores_are_those_of_the_masks(protocol):
    images, maps = inputs()
    targets = torch.tensor([2, 0])
    scores = box_study(classifier, images, maps, targets, BOXES, protocol=protocol)
    for region, mask in region_masks(maps, BOXES, protocol).items():
        expected = faithfulness(classifier, images, mask, targets)
        for name in ("AD", "AG", "AI"):
            torch.testing.assert_close(scores[region][name], expected[name])


def test_only_the_regions_asked_for():
    images, maps = inputs()
    targets = torch.tensor([2, 0])
    scores = box_study(classifier, images, maps, targets, BOXES, regions=("B", "I\\B"))
    assert list(scores) == ["B", "I\\B"]
    with pytest.raises(ValueError, match="regions must be among"):
        box_study(classifier, images, maps, targets, BOXES, regions=("A",))
    with pytest.raises(ValueError, match="protocol must be one of"):
        box_study(classifier, images, maps, targets, BOXES, protocol="slides")


def test_known_probabilities_are_taken_and_maps_of_other_sizes_refused():
    images, maps = inputs()
    targets, known, passes = torch.tensor([2, 0]), torch.tensor([0.25, 0.5], dtype=torch.float64), []

    def counted(pixels):
        passes.append(len(pixels))
        return classifier(pixels)

    found = box_study(counted, images, maps, targets, BOXES, regions=["S"], image_probabilities=known)["S"]
    assert passes == [2]
    masked = classifier(images * maps[:, None]).softmax(1)[range(2), targets]
    torch.testing.assert_close(found["AD"], 100 * (known - masked).clamp(min=0) / known)
    with pytest.raises(ValueError, match=r"^maps must have the batch and size of images"):
        box_study(classifier, images, maps[:, :1], targets, BOXES)
