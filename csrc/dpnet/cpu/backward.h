// Two ways back on the CPU: through the argmax, dU_p = sum_b g_bp x_br*; through the entropy, dU = dS^T X, dS dense.
// The first where only scores have a gradient; the second, a tile of similarities at a time, where entropies have one.
#pragma once

#include "panels.h"

namespace dpnet {

inline bool is_double(const Tensor& tensor) { return tensor.scalar_type() == ScalarType::Double; }

template <class T>
struct BackwardInputs {
  Sizes sizes;
  const T* parts;
  RegionRows<T> regions;
  const int32_t* argmax;
  const T* grad_scores = nullptr;   // [images, parts]; may stay null where there is an entropy
  const T* grad_entropy = nullptr;  // [images, regions], like the two that follow
  const T* entropy = nullptr;
  const T* log_partition = nullptr;
  T scale = 0;  // 1 / temperature

  int32_t best(int64_t image, int64_t part) const { return argmax[image * sizes.parts + part]; }
  T grad(int64_t image, int64_t part) const { return grad_scores[image * sizes.parts + part]; }
};

// Every gradient of a part is written once, by one thread, in a fixed order: the same bits on every run.
// Given `kept`, the gradient joins that much of what is there.
template <class T>
void parts_through_argmax(const BackwardInputs<T>& in, T* grad_parts, std::optional<T> kept = std::nullopt);
template <class T>
void regions_through_argmax(const BackwardInputs<T>& in, T* grad_regions);
template <class T>
void parts_through_entropy(const BackwardInputs<T>& in, T* grad_parts);
template <class T>
void regions_through_entropy(const BackwardInputs<T>& in, T* grad_regions);

// From the gradient of a unit part to that of the part: drop the radial component, divide by the norm.
template <class T>
void remove_radial(const T* part, int64_t depth, T* gradient) {
  const double scale = inverse_norm(part, depth);
  const T radial = T(loops<T>().dot(part, gradient, depth) * scale * scale);
  for (int64_t k = 0; k < depth; ++k) gradient[k] = (gradient[k] - radial * part[k]) * T(scale);
}

// From a panel of the gradient of unit parts, [depth][lanes], to rows of that of the parts from `first_part` on, as many
// as there are; some columns at a time.
template <class T>
void turn_panel(const T* parts, const Sizes& sizes, const T* panel, int64_t first_part, T* rows) {
  constexpr int64_t columns = 16;
  const int64_t lanes = loops<T>().lanes, depth = sizes.depth, count = std::min(lanes, sizes.parts - first_part);
  for (int64_t start = 0; start < depth; start += columns)
    for (int64_t lane = 0; lane < count; ++lane)
      for (int64_t k = start; k < std::min(start + columns, depth); ++k)
        rows[lane * depth + k] = panel[k * lanes + lane];
  for (int64_t lane = 0; lane < count; ++lane)
    remove_radial(parts + (first_part + lane) * depth, depth, rows + lane * depth);
}

}  // namespace dpnet
