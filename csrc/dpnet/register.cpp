// Registers the operations `dpnet_kernels::*`, on the CPU and, where compiled, CUDA; no formula of its own.
// For every shape: Python (`dpnet/similarity/backends.py`) chooses the operation, the dispatcher the device.
#include "cpu/loops.h"
#include "operations.h"

namespace dpnet {
namespace {

std::string cpu_instructions() { return instruction_names(); }

}  // namespace
}  // namespace dpnet

STABLE_TORCH_LIBRARY(dpnet_kernels, m) {
  m.def(
      "forward(Tensor parts, Tensor regions, float? temperature, bool tf32) -> (Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "forward_gradient(Tensor parts, Tensor regions, float temperature, bool tf32) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "backward_argmax(Tensor grad_scores, Tensor parts, Tensor regions, Tensor argmax, bool need_regions) "
      "-> (Tensor, Tensor)");
  m.def(
      "join_argmax_(Tensor(a!) gradient, float kept, Tensor grad_scores, Tensor parts, Tensor regions, Tensor argmax) "
      "-> ()");
  m.def(
      "backward_entropy(Tensor? grad_scores, Tensor grad_entropy, Tensor parts, Tensor regions, Tensor argmax, "
      "Tensor entropy, Tensor log_partition, float temperature, bool need_regions) -> (Tensor, Tensor)");
  m.def("best_region(Tensor product) -> (Tensor, Tensor)");
  m.def("assignment(Tensor product, float temperature) -> (Tensor, Tensor)");
  m.def(
      "entropy_slope_(Tensor(a!) product, Tensor weight, Tensor entropy, Tensor log_partition, "
      "float temperature) -> ()");
  m.def("cpu_instructions() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CPU, m) {
  m.impl("forward", TORCH_BOX(&dpnet::forward_cpu));
  m.impl("forward_gradient", TORCH_BOX(&dpnet::forward_gradient_cpu));
  m.impl("backward_argmax", TORCH_BOX(&dpnet::backward_argmax_cpu));
  m.impl("join_argmax_", TORCH_BOX(&dpnet::join_argmax_cpu));
  m.impl("backward_entropy", TORCH_BOX(&dpnet::backward_entropy_cpu));
}

STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CompositeExplicitAutograd, m) {
  m.impl("cpu_instructions", TORCH_BOX(&dpnet::cpu_instructions));
}

#ifdef DPNET_WITH_CUDA
STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CUDA, m) {
  m.impl("forward", TORCH_BOX(&dpnet::forward_cuda));
  m.impl("backward_argmax", TORCH_BOX(&dpnet::backward_argmax_cuda));
  m.impl("best_region", TORCH_BOX(&dpnet::best_region_cuda));
  m.impl("assignment", TORCH_BOX(&dpnet::assignment_cuda));
  m.impl("entropy_slope_", TORCH_BOX(&dpnet::entropy_slope_cuda));
}
#endif
