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


def test_triton_that_cannot_be_imported_falls_back_and_warns(monkeypatch):
    cuda.warn_once.cache_clear()
    registered = {}

    class FakeLibrary:
        def impl(self, name, function, key):
            registered[name, key] = function

    monkeypatch.setattr(cuda, "triton_reason", lambda: "it is missing")
    cuda.register(FakeLibrary(), "step_masks", lambda *_: "plain")
    with pytest.warns(RuntimeWarning, match="plain PyTorch on CUDA: it is missing"):
        assert registered["step_masks", "CUDA"](torch.zeros(1)) == "plain"
    cuda.warn_once.cache_clear()


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
