// Registers the CPU implementations of the masking step and of float64 convolutions, and an operation that names the
// instruction set; no formula. For every shape: the dispatcher takes them for CPU tensors.

#include "operations.h"

#include "cpu/loops.h"

static std::string instruction_set() { return opticam::instruction_set(); }

STABLE_TORCH_LIBRARY_FRAGMENT(opticam, m) {
  m.def("instruction_set() -> str");
  m.def("convolution(Tensor images, Tensor weights, Tensor bias, int outputs, int[] kernel, int[] stride, "
        "int[] padding, int[] dilation) -> Tensor");
  m.def("convolution_backward(Tensor gradient, Tensor weights, int inputs, int[] sides, int[] kernel, "
        "int[] stride, int[] padding, int[] dilation) -> Tensor");
  m.def("tiled_convolution(Tensor images, Tensor weights, Tensor bias, int outputs, int[] padding, int[] dilation) "
        "-> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(opticam, CompositeExplicitAutograd, m) {
  m.impl("instruction_set", TORCH_BOX(&instruction_set));
}

STABLE_TORCH_LIBRARY_IMPL(opticam, CPU, m) {
  m.impl("saliency_mask", TORCH_BOX(&opticam::saliency_mask));
  m.impl("saliency_mask_backward", TORCH_BOX(&opticam::saliency_mask_backward));
  m.impl("channel_masks", TORCH_BOX(&opticam::channel_masks));
  m.impl("step_masks", TORCH_BOX(&opticam::step_masks));
  m.impl("convolution", TORCH_BOX(&opticam::convolution));
  m.impl("convolution_backward", TORCH_BOX(&opticam::convolution_backward));
  m.impl("tiled_convolution", TORCH_BOX(&opticam::tiled_convolution));
}
