"""What speed levels and details of the definition change in Opti-CAM's scores, on photographs.

    python -m reproduce.studies.opticam_settings --data DIR --output figures/studies

DIR holds imagenet_val/ (pictures, labels.csv) and weights/squeezenet1_1.pth. The first 64 pictures are squashed to
224 x 224 and explained for their true class by Opti-CAM with 100 iterations at the last layer of `features`.

"level": the product's OptiCAM with each `optimize` level of `Classifier`, scored by the same classifier.
"detail": a plain loop (autograd, torch.optim.Adam) that differs from the product's definition in what its name says:
where the corners of the coarse map lie, how the picture is squashed, whether the map is taken before the last step.
Writes a row as soon as it is measured; a second call computes what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import functional as transforms

from opticam import Classifier, OptiCAM
from opticam.acceleration.prepared_network import LEVELS
from opticam.metrics import faithfulness_scores, target_probability
from reproduce.workspace.environment import environment

SIDE, BATCH, ITERATIONS = 224, 8, 100
PIXELS: dict[str, Any] = {"mean": (123 / 255, 117 / 255, 104 / 255), "std": (1 / 255,) * 3}  # of the weights
SOURCES = ("opticam", "csrc/common", "csrc/opticam", "reproduce/studies/opticam_settings.py")
Explain = Callable[[Classifier, Tensor, Tensor], Tensor]


def by_product(classifier: Classifier, images: Tensor, ids: Tensor) -> Tensor:
    """Maps [B,H,W] of the product."""
    return OptiCAM(classifier, iterations=ITERATIONS)(images, ids)


def by_plain_loop(align_corners: bool, steps: int = ITERATIONS) -> Explain:
    """Opti-CAM written down plainly; `steps` below 100 takes the map of an earlier iterate."""

    def explain(classifier: Classifier, images: Tensor, ids: Tensor) -> Tensor:
        features = classifier.features(images)
        u = torch.zeros(*features.shape[:2], 1, 1, requires_grad=True)
        adam = torch.optim.Adam([u], lr=0.1)
        with classifier.frozen(), torch.enable_grad():
            for _ in range(steps):
                logits = classifier(images * _render(features, u, align_corners)[:, None])
                adam.zero_grad()
                (-logits.gather(1, ids[:, None]).sum()).backward()
                adam.step()
        return _render(features, u, align_corners).detach()

    return explain


def _render(features: Tensor, u: Tensor, align_corners: bool) -> Tensor:
    coarse = (u.softmax(1) * features).sum(1, keepdim=True)
    maps = functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear", align_corners=align_corners)[:, 0]
    low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
    return (maps - low) / (high - low)


def bilinear(image: Image.Image) -> Tensor:
    """The product's squash: bilinear with antialiasing, on 8-bit pixels."""
    return transforms.to_tensor(transforms.resize(image, [SIDE, SIDE]))


def plain_bilinear(image: Image.Image) -> Tensor:
    """Bilinear without antialiasing, on floating pixels."""
    return transforms.resize(transforms.to_tensor(image), [SIDE, SIDE], antialias=False)


SETTINGS: dict[tuple[str, str], tuple[str, Callable[[Image.Image], Tensor], Explain]] = {
    **{("level", level): (level, bilinear, by_product) for level in LEVELS},
    ("detail", "none"): ("fast", bilinear, by_plain_loop(False)),
    ("detail", "aligned corners"): ("fast", bilinear, by_plain_loop(True)),
    ("detail", "aligned corners, plain bilinear squash"): ("fast", plain_bilinear, by_plain_loop(True)),
    ("detail", "aligned corners, one step less"): ("fast", bilinear, by_plain_loop(True, ITERATIONS - 1)),
}


def measure(data: Path, setting: tuple[str, str], count: int) -> dict[str, object]:
    """Mean AD, AG and AI of a setting on the first `count` pictures, and seconds per image of its maps."""
    level, squash, explain = SETTINGS[setting]
    labels = pd.read_csv(data / "imagenet_val" / "labels.csv")[:count]
    weights = data / "weights" / "squeezenet1_1.pth"
    classifier = Classifier.from_name("squeezenet1_1", weights, optimize=level, **PIXELS)
    scores, seconds = [], 0.0
    for start in range(0, len(labels), BATCH):
        part = labels[start : start + BATCH]
        files = (data / "imagenet_val" / "images" / file for file in part["file"])
        images = torch.stack([squash(Image.open(file).convert("RGB")) for file in files])
        ids = torch.tensor(part["label"].to_numpy())
        begin = time.process_time()
        maps = explain(classifier, images, ids)
        seconds += time.process_time() - begin
        probabilities = (target_probability(classifier, x, ids) for x in (images, images * maps[:, None]))
        scores.append(pd.DataFrame({k: v.numpy() for k, v in faithfulness_scores(*probabilities).items()}))
    means = pd.concat(scores).mean().astype(float).round(2)
    row = {"kind": setting[0], "setting": setting[1], **means, "images": len(labels)}
    return row | {"cpu_seconds_an_image": round(seconds / len(labels), 2)}


def main() -> None:
    """Measure what the CSV lacks, and print it."""
    names = [name for _, name in SETTINGS]
    parser = argparse.ArgumentParser(description="Opti-CAM's scores under other levels and details.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("figures/studies"))
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="settings by name")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "opticam_settings.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    known = {(row["kind"], row["setting"]) for row in rows}
    facts = environment("cpu", SOURCES)
    wanted = (setting for setting in SETTINGS if setting[1] in options.only)
    for setting in (setting for setting in wanted if setting not in known):
        rows.append(measure(options.data, setting, options.images) | facts)
        pd.DataFrame(rows).to_csv(path, index=False)
    print(pd.DataFrame(rows).iloc[:, :7].to_string(index=False))


if __name__ == "__main__":
    main()
