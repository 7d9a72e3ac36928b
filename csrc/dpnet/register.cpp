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
      "forward_hopper(Tensor parts, Tensor regions, float? temperature, bool tf32) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
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
  m.def(
      "chunked_forward(Tensor parts, Tensor regions, float? temperature, int workspace) "
      "-> (Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "chunked_forward_gradient(Tensor parts, Tensor regions, float temperature, int workspace, float weight) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "chunked_forward_keeping(Tensor parts, Tensor regions, float temperature, int workspace) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def(
      "chunked_backward(Tensor? grad_scores, Tensor? grad_entropy, Tensor parts, Tensor regions, Tensor argmax, "
      "Tensor entropy, Tensor log_partition, float temperature, bool need_regions, int workspace, "
      "Tensor(a!)? similarities, Tensor? regions_factor) -> (Tensor, Tensor)");
  m.def("cpu_instructions() -> str");
}

STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CPU, m) {
  m.impl("forward", TORCH_BOX(&dpnet::forward_cpu));
  m.impl("forward_gradient", TORCH_BOX(&dpnet::forward_gradient_cpu));
  m.impl("backward_argmax", TORCH_BOX(&dpnet::backward_argmax_cpu));
  m.impl("join_argmax_", TORCH_BOX(&dpnet::join_argmax_cpu));
  m.impl("backward_entropy", TORCH_BOX(&dpnet::backward_entropy_cpu));
  m.impl("chunked_forward", TORCH_BOX(&dpnet::chunked_forward));
  m.impl("chunked_forward_gradient", TORCH_BOX(&dpnet::chunked_forward_gradient));
  m.impl("chunked_forward_keeping", TORCH_BOX(&dpnet::chunked_forward_keeping));
  m.impl("chunked_backward", TORCH_BOX(&dpnet::chunked_backward));
}

STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CompositeExplicitAutograd, m) {
  m.impl("cpu_instructions", TORCH_BOX(&dpnet::cpu_instructions));
}

#ifdef DPNET_WITH_CUDA
STABLE_TORCH_LIBRARY_IMPL(dpnet_kernels, CUDA, m) {
  m.impl("forward", TORCH_BOX(&dpnet::forward_cuda));
#ifdef DPNET_WITH_HOPPER
  m.impl("forward_hopper", TORCH_BOX(&dpnet::forward_hopper));
#endif
  m.impl("backward_argmax", TORCH_BOX(&dpnet::backward_argmax_cuda));
  m.impl("chunked_forward", TORCH_BOX(&dpnet::chunked_forward));
  m.impl("chunked_forward_gradient", TORCH_BOX(&dpnet::chunked_forward_gradient));
  m.impl("chunked_forward_keeping", TORCH_BOX(&dpnet::chunked_forward_keeping));
  m.impl("chunked_backward", TORCH_BOX(&dpnet::chunked_backward));
}
#endif
