"""The authors' protocol at the ends of boxes, and on boxes that are no whole numbers."""

import pytest
import torch

from opticam.metrics import localization

TRUE = torch.tensor([True])


def test_boxes_are_whole_numbers():
    """int() of a coordinate, towards zero: also of a negative one."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(40, 9, 8, generator=generator)
    begins = 8 * torch.rand(40, 1, 2, generator=generator) - 3
    boxes = torch.cat([begins, begins + 1 + 8 * torch.rand(40, 1, 2, generator=generator)], 2)
    whole, correct = boxes.to(torch.int64), torch.ones(40, dtype=torch.bool)
    found, expected = (localization(maps, given, correct, "legacy") for given in (boxes, whole))
    assert all(torch.equal(found[name], expected[name]) for name in ("LE", "F1", "SP", "EP"))


@pytest.mark.parametrize(
    ("box", "hits"),
    [([2, 1, 4, 3], 100), ([4, 3, 5, 5], 100), ([2, 1, 3, 3], 0), ([2, 1, 4, 2], 0), ([5, 3, 5, 5], 0)],
)
def test_a_maximum_at_either_end_of_a_box_points_into_it(box, hits):
    """At row 4, column 3, of which x1 <= row <= x2 and y1 <= column <= y2."""
    maps = torch.zeros(1, 6, 6)
    maps[0, 4, 3] = 1
    assert localization(maps, [torch.tensor([box])], TRUE, "legacy")["SP"].tolist() == [hits]
