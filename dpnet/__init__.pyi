from .features import FeatureCache, extract_features
from .geometry import cell_grid
from .image_network import ParticipationMap, as_classifier
from .manifest import describe
from .model import GlobalClassifier, PartClassifier, PartOutput
from .preparation import prepare
from .recipes import GlobalRecipe, PartRecipe
from .regions import RegionScheme
from .settings import ConstraintWeights, TrainingSettings
from .training import TrainingRecord, train, train_seeds

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
