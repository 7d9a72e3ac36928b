"""Every metric of no image is no number, whatever its other arguments."""

import pytest
import torch

from opticam import metrics

SIDE = 64
IMAGES, MAPS = torch.empty(0, 3, SIDE, SIDE), torch.empty(0, SIDE, SIDE)
TARGETS = torch.empty(0, dtype=torch.int64)


def classifier(pixels):
    return pixels.mean((2, 3))


def method(pixels, targets):
    return pixels.mean(1)


METRICS = {
    "faithfulness": lambda: metrics.faithfulness(classifier, IMAGES, MAPS, TARGETS)["AD"],
    "insertion": lambda: metrics.insertion(classifier, IMAGES, MAPS).auc,
    "deletion": lambda: metrics.deletion(classifier, IMAGES, MAPS, TARGETS).auc,
    "paper": lambda: metrics.localization(MAPS, [], TARGETS.bool())["F1"],
    "legacy": lambda: metrics.localization(MAPS, [], TARGETS.bool(), "legacy")["LE"],
    "overlaps": lambda: metrics.box_overlaps(MAPS, [])[:, 0],
    "SM": lambda: metrics.saliency_metric(classifier, IMAGES, MAPS, TARGETS),
    "box study": lambda: metrics.box_study(classifier, IMAGES, MAPS, TARGETS, [])["S"]["AD"],
    "AOPC": lambda: metrics.aopc(classifier, IMAGES, MAPS, TARGETS, regions=2),
    "MS": lambda: metrics.max_sensitivity(method, IMAGES, MAPS, TARGETS),
    "ADCC": lambda: metrics.adcc(classifier, method, IMAGES, MAPS)["ADCC"],
    "similarity": lambda: metrics.map_similarity(MAPS, MAPS)["hog"],
}


@pytest.mark.parametrize("measure", METRICS.values(), ids=METRICS)
def test_no_image_gives_no_number(measure):
    assert measure().shape == (0,)
