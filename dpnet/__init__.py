"""Learn discriminative parts on a frozen network and explain by them (DP-Net, ICIP 2023)."""

from dpnet.features import FeatureCache, extract_features
from dpnet.geometry import cell_grid
from dpnet.image_network import ParticipationMap, as_classifier
from dpnet.manifest import describe
from dpnet.model import GlobalClassifier, PartClassifier, PartOutput
from dpnet.preparation import prepare
from dpnet.recipes import GlobalRecipe, PartRecipe
from dpnet.regions import RegionScheme
from dpnet.settings import ConstraintWeights, TrainingSettings
from dpnet.training import TrainingRecord, train, train_seeds

__all__ = [
    "ConstraintWeights",
    "FeatureCache",
    "GlobalClassifier",
    "GlobalRecipe",
    "PartClassifier",
    "PartOutput",
    "PartRecipe",
    "ParticipationMap",
    "RegionScheme",
    "TrainingRecord",
    "TrainingSettings",
    "as_classifier",
    "cell_grid",
    "describe",
    "extract_features",
    "prepare",
    "train",
    "train_seeds",
]
