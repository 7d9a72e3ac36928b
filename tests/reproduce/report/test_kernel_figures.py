"""The drawings of the kernels, from a CSV file whose ratios are known."""

import re

import pandas as pd
import pytest

from reproduce.report.document import Picture
from reproduce.report.kernel_figures import LOSS, MASKING, SIMILARITY, printed, speedups
from reproduce.report.sections.kernels import kernels_at_a_glance

WORK = {"operation": "step_masks", "shape": "VGG-16", "dtype": "float32", "device": "Processor X"}
MOVED = {"moved_mb": 8.0, "copy_gb_s": 10.0}


def masking(*, ours, compiled, eager=(6.0, 4.0), batch=2):
    times = {"ours": ours, "eager (matmul)": eager[0], "eager (weighted sum)": eager[1]}
    times |= {} if compiled is None else {"torch.compile": compiled}
    rows = [{**WORK, **MOVED, "batch": batch, "implementation": k, "median_ms": v} for k, v in times.items()]
    return pd.DataFrame(rows)


@pytest.fixture
def rows():
    """Twice as fast as the fastest eager form and half as fast as torch.compile; 16 times, and not compiled."""
    return pd.concat([masking(ours=2.0, compiled=1.0), masking(ours=0.25, compiled=None, batch=16)])


def test_known_ratios_give_the_known_cells(rows):
    table = speedups(MASKING, rows)
    assert table.values.tolist() == [
        ["step_masks", "VGG-16, 2", "float32", "eager", 2.0],
        ["step_masks", "VGG-16, 2", "float32", "torch.compile", 0.5],
        ["step_masks", "VGG-16, 16", "float32", "eager", 16.0],
    ]


def test_similarity_takes_the_own_choice():
    work = {"shape": "s", "pass": "forward", "entropy": "yes", "precision": "float32", "device": "X"}
    times = {"ours (auto)": 2.0, "ours (chunked)": 1.0, "eager max": 3.0}
    rows = [{**work, "implementation": name, "least_ms": time} for name, time in times.items()]
    (cell,) = speedups(SIMILARITY, pd.DataFrame(rows)).values.tolist()
    assert cell == ["forward, with entropy", "s", "float32", "eager", 1.5]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, f"0.50 {LOSS}"), (0.994, f"0.99 {LOSS}"), (0.996, "1.00"), (2.0, "2.00"), (53.84, "53.8")],
)
def test_a_loss_is_marked_as_it_is_printed(value, text):
    assert printed(value) == text


def test_the_pictures_name_the_device_and_hold_the_numbers(rows, tmp_path):
    rows.to_csv(tmp_path / "masking_cpu.csv", index=False)
    blocks = list(kernels_at_a_glance(tmp_path, tmp_path))
    heat, roofline = (block for block in blocks if isinstance(block, Picture))
    assert (
        heat.title == "Heat map of The masking step on Processor X: 3 speed-ups from 0.50 to 16.0, 1 below 1"
    )
    assert roofline.path.name == "kernel_roofline_cpu.svg"
    assert roofline.caption.endswith("not measured: the product.")
    written = re.findall(r">([^<>]+)</text>", heat.path.read_text(encoding="utf-8"))
    assert {"2.00", f"0.50 {LOSS}", "16.0", "VGG-16, 2", "VGG-16, 16"} <= set(written)
    told = " ".join(getattr(block, "text", "") for block in blocks)
    assert (
        "Not measured: The masking step on a GPU; Part similarity on the CPU; Part similarity on a GPU."
        in told
    )
    before = heat.path.read_bytes()
    list(kernels_at_a_glance(tmp_path, tmp_path))
    assert heat.path.read_bytes() == before


def test_without_files_nothing_is_drawn(tmp_path):
    blocks = list(kernels_at_a_glance(tmp_path, tmp_path))
    assert not any(isinstance(block, Picture) for block in blocks) and list(tmp_path.iterdir()) == []
