"""The metrics of both papers' tables: their printed name, good direction, unit and digits."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Metric(NamedTuple):
    """How a metric is printed, and which end of it is good."""

    header: str
    better: Literal["up", "down"]
    unit: str
    digits: int
    description: str


METRICS: dict[str, Metric] = {
    "AD": Metric("AD", "down", "%", 1, "average drop of the class probability under the mask"),
    "AG": Metric("AG", "up", "%", 1, "average gain of the class probability under the mask"),
    "AI": Metric("AI", "up", "%", 1, "share of images whose class probability rises under the mask"),
    "seconds_per_batch8": Metric("T", "down", "s", 2, "seconds to make the maps of 8 images"),
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
}
