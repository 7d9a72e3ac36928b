"""The claim the kernels rest on: the extremes of a bilinear surface lie at the ends of the intervals."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from opticam.masking import upsample_map


def interval_ends(cells: int, pixels: int) -> list[int]:
    """First and last pixel of each run of pixels whose centres lie between the same two cells: at most 2 cells."""
    runs: dict[int, list[int]] = {}
    for p in range(pixels):
        position = max((p + 0.5) * cells / pixels - 0.5, 0.0)
        runs.setdefault(min(int(position), cells - 1), []).append(p)
    return sorted({end for run in runs.values() for end in (run[0], run[-1])})


@given(
    h=st.integers(1, 15),
    w=st.integers(1, 15),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=150)
def test_four_samples_a_cell_give_the_extremes_of_the_full_map(h, w, height, width, seed):
    maps = torch.randn(3, h, w, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    full = upsample_map(maps, (height, width))
    rows, columns = interval_ends(h, height), interval_ends(w, width)
    samples = full[:, rows][:, :, columns]
    assert samples[0].numel() <= 4 * h * w
    for extreme in (torch.amin, torch.amax):
        difference = extreme(samples, dim=(1, 2)) - extreme(full, dim=(1, 2))
        assert difference.abs().max() <= 1e-12
