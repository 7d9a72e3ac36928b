"""Text of the report stands out from its ground by the ratio of WCAG 2 (4.5 to 1), light and dark."""

import re
from pathlib import Path

import pytest

import reproduce.report

CSS = Path(reproduce.report.__file__).with_name("report.css").read_text(encoding="utf-8")
TEXTS = {
    "ink": ("paper", "code", "good", "bad", "grey"),
    "soft": ("paper", "code", "good", "bad", "grey"),
    "link": ("paper", "code"),
}


def colours(block: str) -> dict[str, tuple[int, ...]]:
    found = re.findall(r"--([\w-]+): #([0-9a-f]+);", block)
    wide = {
        name: value if len(value) == 6 else "".join(2 * digit for digit in value) for name, value in found
    }
    return {name: tuple(bytes.fromhex(value)) for name, value in wide.items()}


def luminance(colour: tuple[int, ...]) -> float:
    """Relative luminance of sRGB, as WCAG 2 defines it."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_knows_black_on_white():
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(scheme):
    light, dark = (colours(block) for block in re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL))
    given = light if scheme == "light" else {**light, **dark}
    ratios = {
        (text, ground): contrast(given[text], given[ground]) for text in TEXTS for ground in TEXTS[text]
    }
    assert len(ratios) == 12 and min(ratios.values()) >= 4.5, ratios
