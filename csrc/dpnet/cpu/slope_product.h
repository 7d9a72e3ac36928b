// The product of the entropies' slopes and the regions, dW = dS^T X: how both are stored for it, a run at a time.
// For `forward_gradient.cpp`, any shape. F says what is multiplied, as in the similarities.
#pragma once

#include "panels.h"

namespace dpnet {

constexpr int64_t SLOPE_RUN = 64;  // regions; an even number

// Slopes of one run of regions and a panel of parts, [rows][lanes], to how they are multiplied, in place. Pairs of whole
// numbers take two rows even of a single one.
template <class F, class T>
void pack_slopes(T* slopes, int64_t rows) {
  if constexpr (is_pair<F>) pair_loops()->pack_lanes(slopes, rows);
}

// Some columns of many regions, for as many runs as they make.
template <class F, class T>
class RegionColumns {
 public:
  RegionColumns(int64_t width, int64_t rows)
      : values_(width * rows), packed_(is_pair<F> ? divide_up(rows, SLOPE_RUN) * width * RUN_FACTORS : 0) {}

  // Where [rows][columns] belong; `pack` follows.
  T* values() const { return values_.data(); }

  void pack(int64_t width, int64_t rows) {
    width_ = width;
    if constexpr (is_pair<F>)
      for (int64_t first = 0; first < rows; first += SLOPE_RUN) pack_run(first, std::min(SLOPE_RUN, rows - first));
  }

  // sums[column][lane] += slopes of a panel and the regions [first, first + rows), one run, times the columns.
  void add_product(const T* slopes, int64_t first, int64_t rows, T* sums) const {
    const int64_t lanes = loops<T>().lanes;
    if constexpr (is_pair<F>)
      pair_loops()->multiply(reinterpret_cast<const F*>(slopes), run(first), RUN_FACTORS, width_,
                                divide_up(rows, 2), sums, true);
    else
      loops<T>().multiply(slopes, lanes, values_.data() + first * width_, {1, width_}, width_, rows, sums, lanes, true);
  }

 private:
  static constexpr int64_t RUN_FACTORS = Factor<F>::header + SLOPE_RUN / 2;

  F* run(int64_t first) const { return packed_.data() + first / SLOPE_RUN * width_ * RUN_FACTORS; }

  void pack_run(int64_t first, int64_t rows) {
    float column[SLOPE_RUN];
    for (int64_t k = 0; k < width_; ++k) {
      for (int64_t r = 0; r < rows; ++r) column[r] = values_.data()[(first + r) * width_ + k];
      pair_loops()->pack(column, rows, run(first) + k * RUN_FACTORS);
    }
  }

  Scratch<T> values_;
  Scratch<F> packed_;  // [runs][columns][factors]
  int64_t width_ = 0;
};

}  // namespace dpnet
