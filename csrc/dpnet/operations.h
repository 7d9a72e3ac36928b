// Operations: s_bp = max_r <x_br, w_p>, w_p = u_p / |u_p|; the entropy of softmax_p(<x_br, w_p> / t); gradients.
// Parts U [P,d], regions X [B,R,d] of any size from 1 on; one implementation a device, `register.cpp` registers them.
#pragma once

#include "../common/stable.h"

namespace dpnet {

using Outputs = std::tuple<Tensor, Tensor, Tensor, Tensor>;  // scores, argmax, entropy, log-partition
using MoreOutputs = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor>;  // and what is kept for the way back
using Gradients = std::tuple<Tensor, Tensor>;                // of parts, of regions

Outputs forward_cpu(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32);

// Keeps the parts' gradient of the sum of all entropies; so does chunked_forward_gradient.
MoreOutputs forward_gradient_cpu(const Tensor& parts, const Tensor& regions, double temperature, bool tf32);

Gradients backward_argmax_cpu(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                              const Tensor& argmax, bool need_regions);

// gradient = kept * gradient + that of the parts through the argmax.
void join_argmax_cpu(Tensor gradient, double kept, const Tensor& grad_scores, const Tensor& parts,
                     const Tensor& regions, const Tensor& argmax);

Gradients backward_entropy_cpu(const OptionalTensor& grad_scores, const Tensor& grad_entropy, const Tensor& parts,
                               const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                               const Tensor& log_partition, double temperature, bool need_regions);

// By PyTorch's products, on either device; `workspace` bytes are held beyond inputs and results.
Outputs chunked_forward(const Tensor& parts, const Tensor& regions, std::optional<double> temperature,
                        int64_t workspace);
// The gradient is that of the entropies times `weight`.
MoreOutputs chunked_forward_gradient(const Tensor& parts, const Tensor& regions, double temperature,
                                     int64_t workspace, double weight);
// Keeps the similarities, which must fit in the workspace; `chunked_backward` takes them and overwrites them.
MoreOutputs chunked_forward_keeping(const Tensor& parts, const Tensor& regions, double temperature, int64_t workspace);
// The gradient of the regions is multiplied by `regions_factor`, one number, before it is rounded to their dtype.
Gradients chunked_backward(const OptionalTensor& grad_scores, const OptionalTensor& grad_entropy, const Tensor& parts,
                           const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                           const Tensor& log_partition, double temperature, bool need_regions, int64_t workspace,
                           const OptionalTensor& similarities, const OptionalTensor& regions_factor);

#ifdef DPNET_WITH_CUDA
Outputs forward_cuda(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32);

// Where compiled for compute capability 9.0.
Outputs forward_hopper(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32);

Gradients backward_argmax_cuda(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                               const Tensor& argmax, bool need_regions);
#endif

}  // namespace dpnet
