"""Images with labels and boxes: built-in samples and ImageNet."""

from opticam.data.sample import SamplePicture, SampleSet, draw_sample, sample_set

__all__ = ["SamplePicture", "SampleSet", "draw_sample", "sample_set"]
