"""The metrics of both papers' tables: their printed name, good direction, unit and digits."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """How a metric is printed, and which end of it is good: neither for a baseline, which no method can win."""

    header: str
    better: Literal["up", "down", "neither"]
    unit: str
    digits: int
    description: str


SECONDS = "seconds_per_batch8"
METRICS: dict[str, Metric] = {
    "AD": Metric("AD", "down", "%", 1, "average drop of the class probability under the mask"),
    "AG": Metric("AG", "up", "%", 1, "average gain of the class probability under the mask"),
    "AI": Metric("AI", "up", "%", 1, "share of images whose class probability rises under the mask"),
    SECONDS: Metric("T", "down", "s", 2, "seconds to make the maps of 8 images"),
    "insertion": Metric("I", "up", "%", 1, "mean probability while the most salient pixels appear"),
    "deletion": Metric("D", "down", "%", 1, "mean probability while the most salient pixels vanish"),
    "AOPC": Metric("AOPC", "up", "%", 1, "probability lost over the perturbed regions"),
    "MS": Metric("MS", "down", "1", 2, "largest change of the map under small changes of the image"),
    "ADCC": Metric("ADCC", "up", "%", 1, "harmonic mean of coherency, simplicity and kept confidence"),
    "OM": Metric("OM", "down", "%", 1, "localisation error that also asks for the right class"),
    "LE": Metric("LE", "down", "%", 1, "localisation error of the map's box"),
    "F1": Metric("F1", "up", "%", 1, "pixel-wise F1 score against the boxes"),
    "BA": Metric("BA", "up", "%", 1, "box accuracy over thresholds"),
    "SP": Metric("SP", "up", "%", 1, "share of images whose largest value lies in a box"),
    "EP": Metric("EP", "up", "%", 1, "share of the map's mass inside the boxes"),
    "SM": Metric(
        "SM", "down", "nat", 2, "saliency metric: log area of the box less log probability of its crop"
    ),
    "SSIM": Metric("SSIM", "down", "1", 3, "similarity to the maps of a randomised network"),
    "accuracy": Metric("accuracy", "up", "%", 1, "share of test images classified correctly"),
    "delta": Metric("Δ accuracy", "up", "points", 1, "accuracy of Parts less that of Global"),
    "rms_cosine": Metric("rms cosine", "down", "1", 3, "root mean square cosine between different parts"),
    "entropy": Metric("entropy", "down", "nat", 2, "mean entropy of a region's assignment to parts"),
    "own_class_mass": Metric(
        "own-class mass", "up", "%", 1, "share of a class's participation that its own parts have"
    ),
    "effective_parts": Metric(
        "effective parts", "down", "1", 1, "exponential of the entropy of a class's participation"
    ),
    "parts_90": Metric("parts for 90 %", "down", "1", 1, "parts that give 90 % of an image's participation"),
    "distinct_regions": Metric(
        "distinct regions", "up", "1", 2, "different regions among the best ones of a class's own parts"
    ),
    "purity": Metric("purity", "up", "%", 1, "share of a part's ten best boxes that show one true part"),
    "hit": Metric("hit", "up", "%", 1, "share of best boxes of own parts with a true part's centre inside"),
    "hit_by_chance": Metric("hit by chance", "neither", "%", 1, "the same for a region drawn at random"),
    "distance": Metric("distance", "down", "px", 1, "from a best box's middle to the nearest true part"),
}


def printed(value: float, digits: int, sign: str = "") -> str:
    """A number as tables print it; sign "+" shows that of positive ones, too.

    To ten significant digits first, as the CSV files keep them: whether a mean of exactly 10.75 prints as 10.7 or 10.8
    must not hang on the last bit of a sum.
    """
    return f"{float(f'{value:.10g}'):{sign}.{digits}f}"
