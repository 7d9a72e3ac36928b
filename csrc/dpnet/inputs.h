// What the operations accept, as dpnet/similarity/inputs.py tells users in better words. No formula.
// For every operation on every device, once a call. A GPU is not waited for, so that an argmax there is taken on trust.
#pragma once

#include "../common/checks.h"
#include "../common/pieces.h"

namespace dpnet {

// The CPU has the index -1.
inline bool on_one_device(const Tensor& first, const Tensor& second) {
  return first.get_device_index() == second.get_device_index();
}

// `step`: regions are as deep as the parts, rounded up to whole steps.
inline void check_inputs(const Tensor& parts, const Tensor& regions, int64_t step = 1) {
  STD_TORCH_CHECK(is_floating(regions) && has_sizes(regions, {ANY, SOME, SOME}),
                  "regions: expected floating point [B,R,d]");
  const bool wide = regions.scalar_type() == ScalarType::Double;
  STD_TORCH_CHECK(parts.scalar_type() == (wide ? ScalarType::Double : ScalarType::Float) &&
                      has_sizes(parts, {SOME, SOME}) && parts.is_contiguous(),
                  "parts: expected contiguous [P,d], float64 for regions of float64, else float32");
  STD_TORCH_CHECK(divide_up(parts.size(1), step) * step == regions.size(2) && on_one_device(parts, regions),
                  "parts and regions: expected one d and one device");
}

// Numbers like those of the parts: gradients, entropies.
inline void check_numbers(const Tensor& numbers, const char* name, const Tensor& parts,
                          std::initializer_list<int64_t> sizes) {
  STD_TORCH_CHECK(numbers.scalar_type() == parts.scalar_type() && has_sizes(numbers, sizes) &&
                      numbers.is_contiguous() && on_one_device(numbers, parts),
                  name, ": expected a contiguous tensor of the parts' dtype, of the sizes of parts and regions");
}

inline void check_argmax(const OptionalTensor& grad_scores, const Tensor& parts, const Tensor& regions,
                         const Tensor& argmax) {
  const int64_t images = regions.size(0), count = parts.size(0);
  if (grad_scores) check_numbers(*grad_scores, "grad_scores", parts, {images, count});
  STD_TORCH_CHECK(argmax.scalar_type() == ScalarType::Int && has_sizes(argmax, {images, count}) &&
                      argmax.is_contiguous() && on_one_device(argmax, parts),
                  "argmax: expected contiguous int32 [B,P]");
  if (!argmax.is_cpu()) return;
  const int32_t* const first = read<int32_t>(argmax);
  const auto is_region = [each = regions.size(1)](int32_t region) { return 0 <= region && region < each; };
  STD_TORCH_CHECK(std::all_of(first, first + images * count, is_region), "argmax: expected numbers of regions");
}

inline void check_entropies(const Tensor& grad_entropy, const Tensor& parts, const Tensor& regions,
                            const Tensor& entropy, const Tensor& log_partition) {
  const int64_t images = regions.size(0), each = regions.size(1);
  check_numbers(grad_entropy, "grad_entropy", parts, {images, each});
  check_numbers(entropy, "entropy", parts, {images, each});
  check_numbers(log_partition, "log_partition", parts, {images, each});
}

}  // namespace dpnet
