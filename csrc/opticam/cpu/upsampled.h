// Maps [B,h,w] made ready for upsampling: rows of cells widened to W pixels, and n(s) = clamp((s - low) * scale).
// For saliency_mask, its backward pass and channel_masks, any shape.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "axis.h"
#include "tensors.h"

namespace opticam {

constexpr int kConstantUlps = 16;  // as in opticam/masking/reference.py

// What becomes of a map with these extremes; a scale of 0 where there is nothing to normalise.
template <class A>
Scaling<A> scaling_of(Normalization kind, A least, A greatest) {
  constexpr A infinity = std::numeric_limits<A>::infinity();
  if (kind == Normalization::sigmoid) return {0, 1, -infinity, infinity};
  if (kind == Normalization::max) return {0, greatest == 0 ? A(0) : 1 / greatest, -infinity, infinity};
  const A magnitude = std::max(std::abs(least), std::abs(greatest));
  const bool constant = greatest - least <= kConstantUlps * std::numeric_limits<A>::epsilon() * magnitude;
  return {least, constant ? A(0) : 1 / (greatest - least), 0, 1};
}

template <class A>
class UpsampledMaps {
 public:
  UpsampledMaps(int64_t count, int64_t h, int64_t w, int64_t height, int64_t width, Normalization kind)
      : rows(h, height), columns(w, width), kind_(kind), scaling_(count), widened_(count * h * width) {}

  void prepare(int64_t index, const A* cells) {
    const auto& loops = map_loops<A>();
    for (int64_t j = 0; j < rows.cells(); ++j)
      loops.widen(cells + j * columns.cells(), columns.view(), widened(index, j));
    Extreme<A> least{}, greatest{};
    if (kind_ != Normalization::sigmoid)
      loops.extremes(cells, rows.view(), columns.view(), &least, &greatest);
    scaling_[index] = scaling_of(kind_, least.value, greatest.value);
    if (std::isinf(scaling_[index].scale)) enlarge(index, least.value, greatest.value);
  }

  // One row of map number `index` and of the image it masks.
  template <class T>
  void mask(int64_t index, int64_t pixel_row, const T* image, RowView row, A* map, T* masked) const {
    const int64_t cell = rows.cell(pixel_row);
    const A *upper = widened(index, cell), *lower = widened(index, rows.next(cell));
    A fraction = rows.fraction(pixel_row);
    if (kind_ == Normalization::sigmoid) {
      map_loops<A>().logistic(upper, lower, fraction, row.pixels, map);
      upper = lower = map;
      fraction = 0;
    }
    typed_loops<T, A>().mask(upper, lower, fraction, scaling_[index], image, row, map, masked);
  }

  const Axis<A> rows, columns;

 private:
  int64_t at(int64_t index, int64_t cell) const { return (index * rows.cells() + cell) * columns.pixels(); }
  // A map whose span has no inverse is made larger by a power of two, which changes nothing but that.
  void enlarge(int64_t index, A least, A greatest) {
    constexpr A factor = 1 / std::numeric_limits<A>::epsilon();
    A* const values = widened(index, 0);
    for (int64_t i = 0; i < rows.cells() * columns.pixels(); ++i) values[i] *= factor;
    scaling_[index] = scaling_of(kind_, least * factor, greatest * factor);
  }

  A* widened(int64_t index, int64_t cell) { return widened_.data() + at(index, cell); }
  const A* widened(int64_t index, int64_t cell) const { return widened_.data() + at(index, cell); }

  Normalization kind_;
  std::vector<Scaling<A>> scaling_;
  std::vector<A> widened_;
};

}  // namespace opticam
