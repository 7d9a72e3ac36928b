"""Opti-CAM's tables and figures, one file each."""

from reproduce.experiments.base import Experiment
from reproduce.experiments.opticam.boxes import BoxTable
from reproduce.experiments.opticam.causal import CausalTable
from reproduce.experiments.opticam.classes import ClassTable
from reproduce.experiments.opticam.deviations import OptiCamDeviations
from reproduce.experiments.opticam.iterations import IterationFigure
from reproduce.experiments.opticam.layers import LayerTable
from reproduce.experiments.opticam.localization import LocalizationTables
from reproduce.experiments.opticam.main import MainTable
from reproduce.experiments.opticam.maps import MapsFigure
from reproduce.experiments.opticam.normalization import NormalizationTable
from reproduce.experiments.opticam.objectives import ObjectiveTable
from reproduce.experiments.opticam.photographs import PhotographsFigure
from reproduce.experiments.opticam.raw_pixels import RawPixelTable
from reproduce.experiments.opticam.robustness import RobustnessTable
from reproduce.experiments.opticam.sanity import SanityFigure
from reproduce.experiments.opticam.selectivity import SelectivityFigure

EXPERIMENTS: tuple[Experiment, ...] = (
    MainTable(),
    MapsFigure(),
    PhotographsFigure(),
    CausalTable(),
    RobustnessTable(),
    BoxTable(),
    NormalizationTable(),
    LocalizationTables(),
    ClassTable(),
    ObjectiveTable(),
    LayerTable(),
    RawPixelTable(),
    SelectivityFigure(),
    IterationFigure(),
    SanityFigure(),
    OptiCamDeviations(),
)
"""In the order of the paper."""
