"""Photographs that scikit-image, scikit-learn and Matplotlib carry, so that a first explanation needs no download."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PREFIX = "sample:"


@dataclass(frozen=True)
class Photograph:
    """A photograph inside an installed package.

    package, file: where it lies. credit, licence: whose it is, as the package states. class_id: the ImageNet class
    that EfficientNet-Lite0 predicts on its centre; what is shown has no label of its own.
    """

    package: str
    file: str
    credit: str
    licence: str
    class_id: int

    @property
    def path(self) -> Path:
        """The file. Raises FileNotFoundError where the package, or the file in it, is not installed."""
        spec = find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        path = Path(next(iter(folders)), self.file) if folders else None
        if path is None or not path.is_file():
            raise FileNotFoundError(f"there is no {self.file}: install {self.package}, which carries it")
        return path


PHOTOGRAPHS: dict[str, Photograph] = {
    "chelsea": Photograph("skimage", "data/chelsea.png", "Stefan van der Walt", "CC0", 282),
    "coffee": Photograph("skimage", "data/coffee.png", "Rachel Michetti, Pikolo Espresso Bar", "CC0", 967),
    "rocket": Photograph("skimage", "data/rocket.jpg", "SpaceX", "public domain", 657),
    "motorcycle": Photograph(
        "skimage",
        "data/motorcycle_left.png",
        "Middlebury stereo benchmark (Scharstein et al., 2014)",
        "published for research",
        665,
    ),
    "astronaut": Photograph("skimage", "data/astronaut.png", "NASA", "public domain", 450),
    "china": Photograph("sklearn", "datasets/images/china.jpg", "danielbuechele", "CC BY 2.0", 698),
    "flower": Photograph("sklearn", "datasets/images/flower.jpg", "vultilion", "CC BY 2.0", 985),
    "grace_hopper": Photograph(
        "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "United States Navy", "public domain", 400
    ),
}


def sample_photograph(name: str) -> Path:
    """The file of a photograph called "sample:NAME". Raises ValueError for an unknown name."""
    known = name.removeprefix(PREFIX)
    if known not in PHOTOGRAPHS:
        raise ValueError(
            f"there is no photograph {name!r}; accepted: {', '.join(PREFIX + n for n in PHOTOGRAPHS)}"
        )
    return PHOTOGRAPHS[known].path
