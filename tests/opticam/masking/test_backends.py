import re
import sys
from types import SimpleNamespace

import pytest
import torch

from opticam.masking import backends, closed_form, cuda, ops, reference, saliency_mask

INPUTS = torch.rand(1, 2, 3, 3), torch.zeros(1, 2), torch.rand(1, 3, 8, 8)


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="backend is 'fast'; accepted: auto, eager, cpp, triton"):
        saliency_mask(*INPUTS, backend="fast")


def test_triton_on_the_cpu_raises_with_the_reason():
    with pytest.raises(RuntimeError, match="'triton' cannot run on cpu: it runs on cuda tensors only"):
        saliency_mask(*INPUTS, backend="triton")


def test_cpp_that_did_not_load_raises_with_the_reason(monkeypatch):
    monkeypatch.setattr(ops, "CPP_REASON", "it is broken")
    with pytest.raises(RuntimeError, match="'cpp' cannot run on cpu: it is broken"):
        saliency_mask(*INPUTS, backend="cpp")
    assert backends.automatic("cpu") == ("eager", "it is broken")
    assert "saliency_mask on cpu: eager (it is broken)" in backends.backend_report()


def test_report_has_a_line_for_each_operation_and_device():
    report = backends.backend_report()
    assert torch.__version__ in report[0]
    for name in ops.OPERATIONS:
        assert sum(line.startswith(f"{name} on ") for line in report) == 2


class FakeDriver:
    """Stands for Triton's, whose `active` is built with a C compiler when it is first asked for."""

    def __init__(self, error=None):
        self.error, self.asked = error, 0

    @property
    def active(self):
        self.asked += 1
        if self.error:
            raise self.error
        return SimpleNamespace(get_current_target=lambda: None)


@pytest.fixture
def driver_on(monkeypatch):
    """Where a GPU is said to be, or not, and what Triton's driver does; nothing is remembered."""
    triton = pytest.importorskip("triton", reason="Triton is not installed on this platform")

    def machine(gpu, error=None):
        driver = FakeDriver(error)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(triton.runtime, "driver", driver)
        forget()
        return driver

    yield machine
    forget()


def forget():
    cuda.triton_reason.cache_clear()
    cuda.warn_once.cache_clear()


def on_cuda():
    """What is registered for CUDA where the plain implementation answers "plain"."""
    registered = {}
    library = SimpleNamespace(impl=lambda name, function, key: registered.update({(name, key): function}))
    cuda.register(library, "step_masks", lambda *_: "plain")
    return registered["step_masks", "CUDA"]


def test_triton_without_a_compiler_falls_back_and_warns_once(driver_on):
    driver = driver_on(True, RuntimeError("Failed to find C compiler"))
    reason = "Triton cannot run here (RuntimeError: Failed to find C compiler)"
    with pytest.warns(RuntimeWarning, match=re.escape(f"plain PyTorch on CUDA: {reason}")) as told:
        assert [on_cuda()(torch.zeros(1)) for _ in range(3)] == ["plain"] * 3
    assert len(told) == 1 and driver.asked == 1
    assert backends.automatic("cuda") == ("eager", reason)
    with pytest.raises(RuntimeError, match="Failed to find C compiler"):
        backends.choose("triton", torch.device("cuda"))


def test_triton_that_runs_is_taken_and_is_asked_once_and_never_without_a_gpu(driver_on):
    for gpu in (True, False):
        driver = driver_on(gpu)
        assert [backends.automatic("cuda") for _ in range(2)] == [("triton", "")] * 2
        assert driver.asked == gpu


def test_triton_that_cannot_be_imported_falls_back(driver_on, monkeypatch):
    driver_on(True)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.warns(
        RuntimeWarning, match=r"plain PyTorch on CUDA: Triton cannot run here \(ModuleNotFound"
    ):
        assert on_cuda()(torch.zeros(1)) == "plain"


@pytest.mark.parametrize("normalization", reference.NORMALIZATIONS)
def test_plain_implementation_of_the_registered_operations(shape, inputs, normalization):
    """What runs where no library loads: the closed form against autograd through the definition."""
    features, logits_u, images = (t.double() for t in inputs(shape))
    logits_u.requires_grad_()
    masked, saliency_map = reference.saliency_mask(features, logits_u, images, normalization)
    gradients = torch.randn_like(masked), torch.randn_like(saliency_map)
    (expected,) = torch.autograd.grad((masked, saliency_map), logits_u, gradients)
    with torch.no_grad():
        outputs = ops.IMPLEMENTATIONS["saliency_mask"](features, logits_u, images, normalization)
        ours = closed_form.saliency_mask_backward(*gradients, features, images, *outputs[1:], normalization)
    assert torch.equal(outputs[0], masked)
    torch.testing.assert_close(ours, expected, atol=1e-8, rtol=1e-6)
