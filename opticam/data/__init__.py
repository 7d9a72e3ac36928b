"""Images with labels and boxes: built-in samples, the networks trained on them, and ImageNet."""

from opticam.data.architectures import SAMPLE_NETWORKS
from opticam.data.networks import SampleNetworkRecord, sample_network
from opticam.data.sample import SamplePicture, SampleSet, draw_sample, sample_set

__all__ = [
    "SAMPLE_NETWORKS",
    "SampleNetworkRecord",
    "SamplePicture",
    "SampleSet",
    "draw_sample",
    "sample_network",
    "sample_set",
]
