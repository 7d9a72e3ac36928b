import pandas as pd
import torch
import torchvision
from torch import nn

from opticam import OptiCAM
from reproduce.benchmarks import harness
from reproduce.benchmarks.loop import __main__ as benchmark
from reproduce.benchmarks.loop.report import summary
from reproduce.benchmarks.loop.rivals import reference_loop, repaired_loop
from reproduce.benchmarks.loop.sides import Setting, first_step


def setting(dtype, iterations):
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=20).eval().to(dtype)
    images = torch.rand(2, 3, 65, 70, dtype=dtype, generator=torch.Generator().manual_seed(1))
    return Setting(network, images, torch.tensor([3, 11]), iterations)


def test_the_rivals_and_ours_compute_the_same_maps_in_float64():
    same = setting(torch.float64, 5)
    arguments = same.model(), same.network.layer4[-1], same.images, same.ids, same.iterations
    reference, repaired = reference_loop(*arguments), repaired_loop(*arguments)
    for expected, found in zip(reference, repaired):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    ours = OptiCAM(same.classifier("exact"), iterations=5)(same.images, same.ids)
    torch.testing.assert_close(ours, reference.maps, rtol=0, atol=1e-6)


def test_the_first_step_agrees_with_the_reference():
    for level in ("exact", "fast"):
        differences = first_step(setting(torch.float64, 1), level)
        assert max(differences.values()) < 1e-6


def test_the_loops_leave_the_network_as_it_was():
    same = setting(torch.float32, 1)
    for loop in (reference_loop, repaired_loop):
        loop(same.model(), same.network.layer4[-1], same.images, same.ids, 1)
        assert all(parameter.requires_grad for parameter in same.network.parameters())
        assert not same.network.layer4[-1]._forward_hooks


def test_small_pictures_do_not_count_as_large_ones(tmp_path, monkeypatch):
    measured = []

    def repetitions(part, setting, repeats):
        side = setting.images.shape[-1]
        measured.append(side)
        yield {"side": "forward exact", "seconds": side / 100, "cpu_seconds": 1.0, "peak_mb": 1.0}

    monkeypatch.setattr(benchmark, "build_network", lambda *_: nn.Identity())
    monkeypatch.setattr(benchmark, "repetitions", repetitions)
    monkeypatch.setattr(harness, "COMMITTED", tmp_path / "none")
    words = ["loop", "--part", "grad-cam", "--batches", "1", "--changed-only", "--out", str(tmp_path)]
    for more in (["--quick"], [], ["--quick"], []):
        monkeypatch.setattr("sys.argv", [*words, *more])
        benchmark.main()
    assert measured == [64, 224]
    table = summary(pd.read_csv(tmp_path / "opticam_loop_cpu.csv"))
    assert list(zip(table["pixels"], table["seconds"])) == [(64, 0.64), (224, 2.24)]
