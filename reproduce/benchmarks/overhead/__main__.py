"""What a call of the masking step costs on the host, in microseconds and in calls of torch.mul.

    python -m reproduce.benchmarks.overhead --out DIR [--device cpu|cuda]

Small tensors, so that the host's work is all there is. On a CPU the kernels are doubles that do nothing, and CPU
tensors go the way of CUDA tensors up to there (doubles.py): every line of Python and every allocation counts, the
driver's launch does not. On a GPU everything is real. One row a layer and turn in DIR/masking_overhead_DEVICE.csv;
the goals are ratios to torch.mul on a GPU, whose own launch is in its time.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch

from opticam.masking import MaskOptimizer, direct, saliency_mask
from opticam.masking.triton import plans
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.overhead.doubles import cpu_for_cuda
from reproduce.benchmarks.overhead.report import markdown, plot, summary
from reproduce.benchmarks.reports import write_report
from reproduce.benchmarks.timing import take_turns

SOURCES = (
    "opticam/masking",
    *(f"reproduce/benchmarks/overhead/{part}.py" for part in ("__main__", "doubles")),
)
KEYS = ("images",)
BATCH, CHANNELS, SIDE, PIXELS = 1, 16, 7, 32
SECONDS = 0.02
"""Of each layer in each turn."""
Call = Callable[[], object]


def layers(device: str) -> dict[str, Call]:
    """From a plain product down to an iteration of Opti-CAM: calls that only submit work."""
    features, images = (
        torch.rand(BATCH, *size, device=device) for size in ((CHANNELS, SIDE, SIDE), (3, PIXELS, PIXELS))
    )
    logits_u = torch.zeros(BATCH, CHANNELS, device=device)
    learned, gradient = logits_u.clone().requires_grad_(), torch.rand_like(images)
    kernels, operator = direct.kernels(), torch.ops.opticam.saliency_mask
    outputs = kernels.saliency_mask(features, logits_u, images, "range")
    masked, saliency_map, weights, surface = outputs
    dtypes = (torch.float32,) * 3
    mask = plans.forward_plan(features.shape, images.shape, False, "range", dtypes, images.device).mask
    optimizer = MaskOptimizer(features, images)

    def both_ways(function: Callable[..., tuple[torch.Tensor, ...]], *options: str) -> None:
        result = function(features, learned, images, *options)[0]
        torch.autograd.grad(result, learned, gradient)

    def product_both_ways() -> None:
        torch.autograd.grad(torch.mul(learned, logits_u), learned, logits_u)

    def iteration() -> None:
        optimizer.mask()
        optimizer.step(gradient)

    saved = features, images, saliency_map, weights, surface, "range"
    return {
        "torch.mul": lambda: torch.mul(images, gradient),
        "torch.mul, forward + backward": product_both_ways,
        "one launch": lambda: mask(images, surface, masked, saliency_map),
        "kernels, forward": lambda: kernels.saliency_mask(features, logits_u, images, "range"),
        "kernels, backward": lambda: kernels.saliency_mask_backward(gradient, None, *saved),
        "saliency_mask, forward": lambda: saliency_mask(features, logits_u, images),
        "saliency_mask, forward + backward": lambda: both_ways(saliency_mask),
        "operator, forward": lambda: operator(features, logits_u, images, "range"),
        "operator, forward + backward": lambda: both_ways(operator, "range"),
        "MaskOptimizer, mask + step": iteration,
    }


def measure(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One row for each layer and turn: the turn's median."""
    calls = layers(options.device)
    for turn in range(options.turns):
        for name, times in take_turns(calls, "cpu", 1, SECONDS).items():
            yield {
                "layer": name,
                "turn": turn,
                "microseconds": round(1000 * statistics.median(times), 3),
            }


def run(options: argparse.Namespace) -> Path:
    """Measure, unless nothing has changed; the path of the CSV."""
    record = Record.of("masking_overhead", KEYS, SOURCES, options)
    group = {"images": BATCH}
    if record.pending(group):
        with cpu_for_cuda() if options.device == "cpu" else nullcontext():
            record.add(group, measure(options))
    return record.path


def main() -> None:
    """Measure, then write the table and the plot beside the CSV and print the table."""
    parser = benchmark_parser("Time what a call of the masking step costs on the host.")
    parser.add_argument("--turns", type=int, default=20, help="turns of each layer")
    path = run(parser.parse_args())
    write_report(path, summary, markdown, plot)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
