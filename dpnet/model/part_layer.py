"""The part layer and its baseline: a classifier on a bag of parts, and one on the global average."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dpnet.data.geometry import EVEN_GRID
from dpnet.model.regions import NORMS, RegionScheme, normalise_rows
from dpnet.similarity import part_similarity
from dpnet.similarity.inputs import check_temperature


class PartOutput(NamedTuple):
    """What one forward pass computes: the bag of parts is b, the argmax region r*, in the paper's symbols."""

    logits: Tensor  # y [B,C], float32
    bag_of_parts: Tensor  # b [B,P]
    argmax_region: Tensor  # r* [B,P], int32
    entropy: Tensor | None  # of the softmax over the parts, a region: [B,R]


class PartClassifier(nn.Module):
    """DP-Net on frozen features: S = U X, b = max over regions of S, y = V b (Parts of the result tables).

    ``parts`` is U [P,d] with P = parts_per_class * num_classes; its rows are made unit vectors in the forward
    pass, and part p is owned by class p // parts_per_class. ``classifier`` is V [C,P], with a bias unless
    ``bias`` is False. ``temperature`` divides the scores inside the softmax of the assignment entropy, and
    nothing else: with unit regions and a temperature of 1 the entropy is constant to the third digit, and the
    assignment constraint cannot act. ``backend`` is handed to `part_similarity`.

    ``centre`` [d] is subtracted from every cell of the feature maps before regions are formed; it starts at 0,
    and `dpnet.model.initialisation.fit_centre` sets it to the mean of the training cells. It is not in the slides:
    features behind a ReLU point into one octant, where all cosines are close to 1, and centring spreads them.

    ``grid`` says where in the image the cells are centred, see `dpnet.data.geometry.cell_grid`; an even grid until
    it is set. Boxes and upsampled maps read it, the logits do not.

    ``mean_bag`` [P] is b averaged over the training images, None until it is set
    (`dpnet.model.evaluation.mean_bag`). It tells what a photo's participations have in common with all others'.

    The part layer computes in the dtype of the features it is given, V in its own. Max pooling is not written
    in the slides; it is what the part models before and after the paper use.
    """

    centre: Tensor
    grid: Tensor
    mean_bag: Tensor | None

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        parts_per_class: int = 10,
        *,
        scheme: RegionScheme | None = None,
        temperature: float = 0.1,
        bias: bool = True,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        check_sizes(feature_dim=feature_dim, num_classes=num_classes, parts_per_class=parts_per_class)
        check_temperature(temperature)
        self.parts_per_class = parts_per_class
        self.scheme = scheme or RegionScheme()
        self.temperature = temperature
        self.backend = backend
        num_parts = parts_per_class * num_classes
        self.parts = nn.Parameter(normalise_rows(torch.randn(num_parts, feature_dim)))
        self.classifier = nn.Linear(num_parts, num_classes, bias=bias)
        self.register_buffer("centre", torch.zeros(feature_dim))
        self.register_buffer("grid", torch.tensor(EVEN_GRID))
        self.register_buffer("mean_bag", None)

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.classifier.out_features

    @property
    def unit_parts(self) -> Tensor:
        """The parts as the forward pass uses them: rows u_p of unit length [P,d]."""
        return normalise_rows(self.parts)

    @property
    def owner(self) -> Tensor:
        """The class that owns each part, int64 [P]."""
        return torch.arange(len(self.parts), device=self.parts.device) // self.parts_per_class

    def forward(self, features: Tensor, with_entropy: bool = False) -> PartOutput:
        """Classify feature maps [B,d,h,w] or regions [B,R,d] made of them by `regions`.

        The entropy of the assignment is computed only when asked for.
        """
        regions = self.regions(features)
        temperature = self.temperature if with_entropy else None
        scores, argmax_region, entropy = part_similarity(
            in_precision_of(regions, self.parts), regions, temperature=temperature, backend=self.backend
        )
        logits = self.classifier(scores.to(self.classifier.weight.dtype))
        return PartOutput(logits, scores, argmax_region, entropy)

    def similarity(self, features: Tensor) -> Tensor:
        """The whole matrix S [B,P,R], which training never builds; heat maps read it."""
        regions = self.regions(features)
        return self.unit_parts.to(regions.dtype) @ regions.transpose(1, 2)

    def boxes(self, map_size: tuple[int, int], image_size: tuple[int, int]) -> Tensor:
        """Pixel boxes [R,4] (x1, y1, x2, y2) of the regions of a feature map of (h, w) cells, on the CPU."""
        return self.scheme.boxes(*map_size, image_size, self.grid)

    def regions(self, features: Tensor) -> Tensor:
        """Regions X [B,R,d] of feature maps [B,d,h,w]: centred, averaged in windows, normalised.

        What is regions already comes back as it is, so training may make them once (`dpnet.prepare`).
        """
        if features.ndim == 3:
            return _matching(features, self.centre, "[B, R, {}]")
        return self.scheme(_centred(features, self.centre))


class GlobalClassifier(nn.Module):
    """The Global row of the result tables: average pooling, optional unit length, one linear layer.

    Reads the same frozen feature maps [B,d,h,w] as `PartClassifier`, with the same optional ``centre``; the
    linear layer is newly trained.
    """

    centre: Tensor

    def __init__(self, feature_dim: int, num_classes: int, *, x_norm: str = "l2", bias: bool = True) -> None:
        super().__init__()
        check_sizes(feature_dim=feature_dim, num_classes=num_classes)
        if x_norm not in NORMS:
            raise ValueError(f"x_norm is {x_norm!r}; accepted: {', '.join(NORMS)}")
        self.x_norm = x_norm
        self.classifier = nn.Linear(feature_dim, num_classes, bias=bias)
        self.register_buffer("centre", torch.zeros(feature_dim))

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return self.classifier.out_features

    def forward(self, features: Tensor) -> Tensor:
        """Logits [B,C] of feature maps [B,d,h,w] or of descriptors [B,d] made of them by `pooled`."""
        logits: Tensor = self.classifier(self.pooled(features).to(self.classifier.weight.dtype))
        return logits

    def pooled(self, features: Tensor) -> Tensor:
        """Descriptors [B,d] of feature maps [B,d,h,w]: centred, averaged, normalised; descriptors stay."""
        if features.ndim == 2:
            return _matching(features, self.centre, "[B, {}]")
        pooled = _centred(features, self.centre).mean(dim=(2, 3))
        return normalise_rows(pooled) if self.x_norm == "l2" else pooled


Model = PartClassifier | GlobalClassifier


def model_arguments(model: Model) -> dict[str, Any]:
    """What builds an untrained model like this one, in plain values: its kind, and the arguments of its class."""
    arguments = {
        "feature_dim": len(model.centre),
        "num_classes": model.num_classes,
        "bias": model.classifier.bias is not None,
    }
    if isinstance(model, GlobalClassifier):
        return {"kind": "global", **arguments, "x_norm": model.x_norm}
    return {
        "kind": "parts",
        **arguments,
        "parts_per_class": model.parts_per_class,
        "scheme": asdict(model.scheme),
        "temperature": model.temperature,
    }


def in_precision_of(regions: Tensor, parts: Tensor) -> Tensor:
    """The parts as `part_similarity` takes them beside the regions: both float64, or neither."""
    return parts.to(regions.dtype) if torch.float64 in (parts.dtype, regions.dtype) else parts


def _matching(vectors: Tensor, centre: Tensor, shape: str) -> Tensor:
    """The vectors [...,d], once their dimension is known to be the model's."""
    if vectors.shape[-1] != len(centre):
        raise ValueError(f"features has shape {tuple(vectors.shape)}; expected {shape.format(len(centre))}")
    return vectors


def _centred(features: Tensor, centre: Tensor) -> Tensor:
    if features.ndim != 4 or features.shape[1] != len(centre):
        raise ValueError(f"features has shape {tuple(features.shape)}; expected [B, {len(centre)}, h, w]")
    return features - centre.to(features.dtype)[:, None, None]


def check_sizes(**sizes: int) -> None:
    """Raise ValueError, naming it, for a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; it must be at least 1")
