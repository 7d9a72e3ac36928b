// Unit parts w_p = u_p / |u_p| packed into panels [factors][lanes], and their product with rows of regions.
// For every pass on the CPU, any shape; whole numbers only from depth 32 on.
#pragma once

#include <vector>

#include "region_rows.h"

namespace dpnet {

constexpr double SMALLEST_NORM = 1e-12;  // as torch.nn.functional.normalize

template <class T>
T inverse_norm(const T* part, int64_t depth) {
  const double norm = std::sqrt(loops<T>().dot(part, part, depth));
  return T(1 / (norm < SMALLEST_NORM ? SMALLEST_NORM : norm));
}

// The parts, and what makes them unit parts.
template <class T>
struct UnitParts {
  UnitParts(const T* parts, const Sizes& sizes) : data(parts), sizes(sizes), scales(sizes.parts) {
    torch::stable::parallel_for(0, sizes.parts, 16, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) scales[part] = inverse_norm(row(part), sizes.depth);
    });
  }
  const T* row(int64_t part) const { return data + part * sizes.depth; }

  const T* data;
  Sizes sizes;
  std::vector<T> scales;
};

// A unit part as factors.
template <class F, class T>
void pack_unit(const UnitParts<T>& parts, int64_t part, F* row) {
  const T *from = parts.row(part), scale = parts.scales[part];
  if constexpr (is_pair<F>) {
    float values[Factor<F>::run];
    for (int64_t k = 0; k < parts.sizes.depth; k += Factor<F>::run, row += run_factors<F>) {
      const int64_t count = std::min(Factor<F>::run, parts.sizes.depth - k);
      for (int64_t i = 0; i < count; ++i) values[i] = from[k + i] * scale;
      pair_loops()->pack(values, count, row);
    }
  } else {
    for (int64_t k = 0; k < parts.sizes.depth; ++k) row[k] = from[k] * scale;
  }
}

// Unit parts [first, first + lanes); lanes past the last part are 0. As many lanes at a time as fill a cache line.
template <class F, class T>
void pack_panel(const UnitParts<T>& parts, int64_t first, int64_t lanes, F* panel) {
  constexpr int64_t together = 64 / sizeof(F);
  const int64_t size = factors<F>(parts.sizes.depth), pitch = size + 64 / sizeof(F);
  const int64_t count = std::min(lanes, parts.sizes.parts - first);
  Scratch<F> rows(together * pitch);
  if (count < lanes) std::fill_n(panel, lanes * size, F{});
  for (int64_t lane = 0; lane < count; lane += together) {
    const int64_t few = std::min(together, count - lane);
    for (int64_t i = 0; i < few; ++i) pack_unit(parts, first + lane + i, rows.data() + i * pitch);
    for (int64_t k = 0; k < size; ++k)
      for (int64_t i = 0; i < few; ++i) panel[k * lanes + lane + i] = rows.data()[i * pitch + k];
  }
}

// `count` panels from panel `first` on, one after the other, all threads at it.
template <class F, class T>
void pack_panels(const UnitParts<T>& parts, int64_t first, int64_t count, F* packed) {
  const int64_t lanes = loops<T>().lanes, size = lanes * factors<F>(parts.sizes.depth);
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) pack_panel(parts, (first + i) * lanes, lanes, packed + i * size);
  });
}

// Whether regions are multiplied as whole numbers: they are stored in 16 bits, or float32 products need not be more
// exact than those of TF32, and the processor can.
inline bool multiplies_whole(const Tensor& regions, bool tf32) {
  constexpr int64_t least_depth = 32;  // below, making them takes longer than is won
  const ScalarType type = regions.scalar_type();
  return type != ScalarType::Double && (tf32 || type != ScalarType::Float) && regions.size(2) >= least_depth &&
         pair_loops() != nullptr;
}

// Whether there is a NaN among scores: whole numbers have no infinity, and give NaN where float32 may give one.
inline bool holds_nan(const Tensor& scores) {
  const float* values = read<float>(scores);
  return std::any_of(values, values + scores.numel(), [](float value) { return std::isnan(value); });
}

// Similarities of a panel to some regions, [rows][lanes].
template <class F, class T>
void similarities(const F* panel, RowView<F> rows, int64_t count, int64_t depth, T* tile) {
  constexpr int64_t run = Factor<F>::run;
  const int64_t lanes = loops<T>().lanes;
  for (int64_t k = 0; k < depth; k += run, panel += run_factors<F> * lanes, rows.data += run_factors<F>) {
    const int64_t steps = divide_up(std::min(run, depth - k), Factor<F>::elements);
    if constexpr (is_pair<F>)
      pair_loops()->multiply(panel, rows.data, rows.pitch, count, steps, tile, k > 0);
    else
      loops<T>().multiply(panel, lanes, rows.data, {rows.pitch, 1}, count, steps, tile, lanes, k > 0);
  }
}

}  // namespace dpnet
