"""Metrics against plain loops over their formulas."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from scipy import ndimage

from fuzz_cases.tensors import DTYPES, Draw, laid_out, sizes, tensor
from opticam import metrics
from opticam.metrics.components import component_boxes

FLOATS = DTYPES[:2]


@st.composite
def drops(draw: Draw) -> str:
    """AD, AG, AI of probabilities: Opti-CAM eq. (17), (18) and Chattopadhay et al.'s AI, image by image."""
    count = draw(st.integers(0, 6))
    p, o = (
        torch.tensor(
            [
                draw(st.sampled_from([0.0, 1e-30, 0.3, 0.5, 1.0, 1.2, -0.1, float("nan")]))
                for _ in range(count)
            ]
        )
        for _ in range(2)
    )
    try:
        found = metrics.faithfulness_scores(p.double(), o.double())
    except (ValueError, TypeError) as error:
        assert str(error).split()[0] in ("p", "o", "p,", "probabilities"), error
        assert ((p < 0) | (p > 1) | (o < 0) | (o > 1)).any()
        return "refused"
    eps = np.finfo(float).eps
    for i in range(count):
        before, after = float(p[i].double()), float(o[i].double())
        expected = {
            "AD": 100 * np.maximum(0.0, before - after) / (before + eps),
            "AG": 100 * np.maximum(0.0, after - before) / (1 - before + eps),
            "AI": 100.0 * (before < after),
        }
        for name, value in expected.items():
            assert np.isclose(float(found[name][i]), value, rtol=1e-12, equal_nan=True), (name, before, after)
    return "as the formula"


@st.composite
def ranks(draw: Draw) -> str:
    """Every pixel has its place: falling saliency, ties from the last pixel on."""
    maps = tensor(draw, sizes(draw, 3, 7, 8), FLOATS, ("normal", "zeros", "constant"))
    rounded = laid_out(draw, maps.mul(2).round())  # so that there are ties
    found = metrics.saliency_ranks(rounded)
    for one, places in zip(rounded.flatten(1).tolist(), found.flatten(1).tolist()):
        order = sorted(range(len(one)), key=lambda i: (-one[i], -i))
        assert [order.index(i) for i in range(len(one))] == places
    return "as sorted"


@st.composite
def curves(draw: Draw) -> str:
    """Insertion and deletion of a classifier that sums pixels, step by step."""
    batch, height, width = sizes(draw, 3, 6, 7)
    images = torch.rand(
        batch, 3, height, width, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))
    )
    maps = tensor(draw, (batch, height, width), FLOATS, ("normal", "constant", "nan"))
    steps = draw(st.integers(0, 9))

    def classifier(pictures: torch.Tensor) -> torch.Tensor:
        total = pictures.sum((1, 2, 3))
        return torch.stack([total, -total], 1)

    targets = torch.zeros(batch, dtype=torch.long)
    arguments = (classifier, images, maps, targets)
    try:
        insertion, deletion = (
            call(*arguments, steps=steps) for call in (metrics.insertion, metrics.deletion)
        )
    except (ValueError, TypeError) as error:
        assert str(error).split()[0] in ("images", "maps", "steps"), error
        return "refused"
    blurred, places = metrics.rise_blur(images), metrics.saliency_ranks(maps)
    for step in range(steps + 1):
        kept = (places < round(step * height * width / steps))[:, None]
        for curve, picture in (
            (insertion.curve, torch.where(kept, images, blurred)),
            (deletion.curve, torch.where(kept, 0 * images, images)),
        ):
            expected = classifier(picture).double().softmax(1)[:, 0]
            # Sums of up to 126 pixels in float32, whose logits count twice.
            torch.testing.assert_close(curve[:, step].double(), expected, rtol=0, atol=126 * 2 * 1.2e-7 * 2)
    return "as step by step"


@st.composite
def boxes(draw: Draw) -> str:
    """The box around the largest connected component, by SciPy's labels; and its IoU by counting pixels."""
    batch, height, width = sizes(draw, 3, 9, 9)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    masks = torch.rand(batch, height, width, generator=generator) < draw(
        st.sampled_from([0.0, 0.3, 0.6, 1.0])
    )
    try:
        masks = laid_out(draw, masks)
        found = component_boxes(masks.float(), torch.zeros(batch, 1))[:, 0]
    except (ValueError, TypeError) as error:
        assert str(error).split()[0] in ("masks", "maps"), error
        return "refused"
    for mask, box in zip(masks.numpy(), found.tolist()):
        labels, count = ndimage.label(mask)  # pixels that share a side
        sizes_found = [(labels == i).sum() for i in range(1, count + 1)]
        if not count:
            assert box == [0, 0, 0, 0]
            continue
        x0, y0, x1, y1 = box
        rows, columns = ndimage.find_objects(labels)[int(np.argmax(sizes_found))]  # the first of several
        assert (y0, y1, x0, x1) == (rows.start, rows.stop, columns.start, columns.stop)
    return "as SciPy labels"


@st.composite
def energy(draw: Draw) -> str:
    """Energy pointing game: the share of a map inside the boxes, pixel by pixel."""
    batch, height, width = sizes(draw, 3, 9, 9)
    maps = tensor(
        draw, (batch, height, width), FLOATS, ("normal", "normal", "zeros", "constant", "nan")
    ).abs()
    least = draw(st.sampled_from([0, 1, 1, 1]))
    drawn = [[_box(draw) for _ in range(draw(st.integers(least, 3)))] for _ in range(batch)]
    try:
        boxes = [torch.tensor(b).reshape(-1, 4) for b in drawn]
        found = metrics.localization(maps, boxes, torch.ones(batch, dtype=torch.bool))["EP"]
    except (ValueError, TypeError) as error:
        assert str(error).split()[0] in ("maps", "boxes"), error
        return "refused"
    for one, corners, value in zip(maps.double().numpy(), drawn, found.tolist()):
        inside = np.zeros_like(one, dtype=bool)
        for x0, y0, x1, y1 in corners:
            inside[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
        total = one.sum()
        if total > 0 and np.isfinite(total):
            assert np.isclose(value, 100 * (one * inside).sum() / total, rtol=1e-5, atol=1e-4), (
                value,
                corners,
            )
    return "as pixel by pixel"


def _box(draw: Draw) -> list[int]:
    """Two corners in and about a small picture, seldom in the wrong order."""
    x0, x1, y0, y1 = (draw(st.integers(-1, 10)) for _ in range(4))
    if draw(st.integers(0, 30)):
        (x0, x1), (y0, y1) = sorted((x0, x1)), sorted((y0, y1))
    return [x0, y0, x1, y1]
