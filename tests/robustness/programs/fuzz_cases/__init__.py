"""What is fuzzed, by name: strategies that draw arguments, call, check the result and say how it ended."""

from fuzz_cases.masking import channel_masks, saliency_mask, step_masks
from fuzz_cases.metrics import boxes, curves, drops, energy, ranks
from fuzz_cases.pictures import picture, picture_bytes
from fuzz_cases.similarity import part_similarity

CASES = {
    "saliency_mask": saliency_mask,
    "channel_masks": channel_masks,
    "step_masks": step_masks,
    "part_similarity": part_similarity,
    "AD, AG, AI": drops,
    "ranks of pixels": ranks,
    "insertion, deletion": curves,
    "boxes of maps": boxes,
    "energy pointing game": energy,
    "pictures of every mode": picture,
    "files of damaged bytes": picture_bytes,
}
