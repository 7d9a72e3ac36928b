from .data.features import FeatureCache, extract_features
from .data.geometry import cell_grid
from .data.manifest import describe
from .explain.image_network import ParticipationMap, as_classifier
from .model.evaluation import prepare
from .model.part_layer import GlobalClassifier, PartClassifier, PartOutput
from .model.recipes import GlobalRecipe, PartRecipe
from .model.regions import RegionScheme
from .training.loop import TrainingRecord, train
from .training.settings import ConstraintWeights, TrainingSettings

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
]
