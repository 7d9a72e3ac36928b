// Backward operations on the CPU, dU and dX, tensors in and tensors out: the loops are in backward_argmax, _entropy.
// Every shape; half precisions are multiplied in float32.
#include "backward.h"

#include "../inputs.h"
#include "../operations.h"

namespace dpnet {
namespace {

struct Results {
  Tensor parts, regions;

  Results(const Tensor& like, const Sizes& sizes, bool need_regions)
      : parts(torch::stable::new_empty(like, {sizes.parts, sizes.depth})),
        regions(need_regions ? torch::stable::new_zeros(like, {sizes.images, sizes.regions, sizes.depth})
                             : torch::stable::new_empty(like, {0})) {}
};

template <class T>
BackwardInputs<T> inputs(const OptionalTensor& grad_scores, const Tensor& parts, const Tensor& regions,
                         const Tensor& argmax) {
  BackwardInputs<T> in{sizes_of(parts, regions), read<T>(parts), RegionRows<T>(regions), read<int32_t>(argmax)};
  in.grad_scores = grad_scores ? read<T>(*grad_scores) : nullptr;
  return in;
}

template <class T>
Gradients through_argmax(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                         const Tensor& argmax, bool need_regions) {
  const auto in = inputs<T>(grad_scores, parts, regions, argmax);
  Results results(parts, in.sizes, need_regions);
  parts_through_argmax(in, write<T>(results.parts));
  if (need_regions) regions_through_argmax(in, write<T>(results.regions));
  return {results.parts, results.regions};
}

template <class T>
void join_argmax(Tensor& gradient, double kept, const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                 const Tensor& argmax) {
  const auto in = inputs<T>(grad_scores, parts, regions, argmax);
  parts_through_argmax(in, write<T>(gradient), std::optional<T>(T(kept)));
}

template <class T>
Gradients through_entropy(const OptionalTensor& grad_scores, const Tensor& grad_entropy, const Tensor& parts,
                          const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                          const Tensor& log_partition, double temperature, bool need_regions) {
  auto in = inputs<T>(grad_scores, parts, regions, argmax);
  in.grad_entropy = read<T>(grad_entropy);
  in.entropy = read<T>(entropy);
  in.log_partition = read<T>(log_partition);
  in.scale = T(1 / temperature);
  Results results(parts, in.sizes, need_regions);
  parts_through_entropy(in, write<T>(results.parts));
  if (need_regions) regions_through_entropy(in, write<T>(results.regions));
  return {results.parts, results.regions};
}

// Each row is gathered by many parts: one whose columns lie apart would be collected anew for each of them.
Tensor with_whole_rows(const Tensor& regions) {
  return regions.stride(2) == 1 ? regions : torch::stable::contiguous(regions);
}

}  // namespace

Gradients backward_argmax_cpu(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                              const Tensor& argmax, bool need_regions) {
  check_inputs(parts, regions);
  check_argmax(grad_scores, parts, regions, argmax);
  const auto function = is_double(parts) ? through_argmax<double> : through_argmax<float>;
  return function(grad_scores, parts, with_whole_rows(regions), argmax, need_regions);
}

void join_argmax_cpu(Tensor gradient, double kept, const Tensor& grad_scores, const Tensor& parts,
                     const Tensor& regions, const Tensor& argmax) {
  check_inputs(parts, regions);
  check_argmax(grad_scores, parts, regions, argmax);
  check_numbers(gradient, "gradient", parts, {parts.size(0), parts.size(1)});
  const auto function = is_double(parts) ? join_argmax<double> : join_argmax<float>;
  function(gradient, kept, grad_scores, parts, with_whole_rows(regions), argmax);
}

Gradients backward_entropy_cpu(const OptionalTensor& grad_scores, const Tensor& grad_entropy, const Tensor& parts,
                               const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                               const Tensor& log_partition, double temperature, bool need_regions) {
  check_inputs(parts, regions);
  check_argmax(grad_scores, parts, regions, argmax);
  check_entropies(grad_entropy, parts, regions, entropy, log_partition);
  const auto function = is_double(parts) ? through_entropy<double> : through_entropy<float>;
  return function(grad_scores, grad_entropy, parts, regions, argmax, entropy, log_partition, temperature,
                  need_regions);
}

}  // namespace dpnet
