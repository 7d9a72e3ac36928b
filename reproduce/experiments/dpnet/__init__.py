"""DP-Net's tables and figures, one file each."""

from reproduce.experiments.base import Experiment
from reproduce.experiments.dpnet.constraints import ConstraintTable
from reproduce.experiments.dpnet.context import ContextTable
from reproduce.experiments.dpnet.deviations import DpNetDeviations
from reproduce.experiments.dpnet.faithfulness import FaithfulnessTable
from reproduce.experiments.dpnet.layers import LayerTable
from reproduce.experiments.dpnet.main import MainTable
from reproduce.experiments.dpnet.parts import PartFigures
from reproduce.experiments.dpnet.quality import QualityTable

EXPERIMENTS: tuple[Experiment, ...] = (
    MainTable(),
    LayerTable(),
    ConstraintTable(),
    QualityTable(),
    ContextTable(),
    FaithfulnessTable(),
    PartFigures(),
    DpNetDeviations(),
)
"""In the order of the paper."""
