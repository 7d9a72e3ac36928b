// Unit parts packed into panels [factors][lanes], and their product with rows of regions.
#pragma once

#include "region_rows.h"

namespace dpnet {

constexpr double SMALLEST_NORM = 1e-12;  // as torch.nn.functional.normalize

template <class T>
T inverse_norm(const T* part, int64_t depth) {
  const double norm = std::sqrt(loops<T>().dot(part, part, depth));
  return T(1 / (norm < SMALLEST_NORM ? SMALLEST_NORM : norm));
}

// Parts [first, first + lanes) divided by their norms; lanes past the last part, and a last odd column, are 0.
// A few columns of all lanes at a time: what they are written to stays in cache.
template <class F, class T>
void pack_panel(const T* parts, const Sizes& sizes, int64_t first, int64_t lanes, F* panel) {
  using Element = typename Factor<F>::Element;
  constexpr int64_t group = Factor<F>::elements, columns = 32;
  Element* to = reinterpret_cast<Element*>(panel);
  const int64_t count = std::min(lanes, sizes.parts - first), padded = factors<F>(sizes.depth) * group;
  Scratch<T> scales(count);
  for (int64_t lane = 0; lane < count; ++lane)
    scales.data()[lane] = inverse_norm(parts + (first + lane) * sizes.depth, sizes.depth);
  if (count < lanes || padded > sizes.depth) std::fill_n(to, lanes * padded, Element(0));
  for (int64_t start = 0; start < sizes.depth; start += columns) {
    const int64_t end = std::min(start + columns, sizes.depth);
    for (int64_t lane = 0; lane < count; ++lane) {
      const T* part = parts + (first + lane) * sizes.depth;
      for (int64_t k = start; k < end; ++k)
        to[(k / group * lanes + lane) * group + k % group] = static_cast<Element>(part[k] * scales.data()[lane]);
    }
  }
}

// `count` panels from panel `first` on, one after the other, all threads at it.
template <class F, class T>
void pack_panels(const T* parts, const Sizes& sizes, int64_t first, int64_t count, F* packed) {
  const int64_t lanes = loops<T>().lanes, size = lanes * factors<F>(sizes.depth);
  torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) pack_panel(parts, sizes, (first + i) * lanes, lanes, packed + i * size);
  });
}

// Whether regions are multiplied in bfloat16: they are stored so, and the processor can.
inline bool multiplies_pairs(const Tensor& regions) {
  return regions.scalar_type() == ScalarType::BFloat16 && pair_loops() != nullptr;
}

// Similarities of a panel to some regions, [rows][lanes].
template <class T>
void similarities(const T* panel, RowView<T> rows, int64_t count, int64_t depth, T* tile) {
  const Loops<T>& table = loops<T>();
  constexpr int64_t step = STEP_BYTES / sizeof(T);
  for (int64_t k = 0; k < depth; k += step)
    table.multiply(panel + k * table.lanes, table.lanes, rows.data + k, {rows.pitch, 1}, count,
                   std::min(step, depth - k), tile, table.lanes, k > 0);
}

inline void similarities(const Pair* panel, RowView<Pair> rows, int64_t count, int64_t depth, float* tile) {
  const PairLoops& table = *pair_loops();
  constexpr int64_t step = STEP_BYTES / sizeof(Pair);
  const int64_t pairs = factors<Pair>(depth);
  for (int64_t k = 0; k < pairs; k += step)
    table.multiply(panel + k * table.lanes, rows.data + k, rows.pitch, count, std::min(step, pairs - k), tile, k > 0);
}

}  // namespace dpnet
