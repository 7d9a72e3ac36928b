"""The built-in sample pictures, and the three networks trained on them."""

from opticam.sample.networks import SAMPLE_NETWORKS, SampleNetworkRecord, sample_network
from opticam.sample.pictures import SamplePicture, SampleSet, draw_sample, sample_set

__all__ = [
    "SAMPLE_NETWORKS",
    "SampleNetworkRecord",
    "SamplePicture",
    "SampleSet",
    "draw_sample",
    "sample_network",
    "sample_set",
]
