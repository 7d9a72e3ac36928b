// Maps [B,h,w] made ready for upsampling: every row of cells widened to W pixels, and how values are normalised.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "axis.h"

namespace opticam {

constexpr int kConstantUlps = 16;  // as in opticam/masking/reference.py

template <class A>
Scaling<A> scaling_of(Normalization kind, A least, A greatest) {
  if (kind == Normalization::sigmoid) return {kind, 0, 1};
  if (kind == Normalization::max) return {kind, 0, greatest == 0 ? A(0) : 1 / greatest};
  const A magnitude = std::max(std::abs(least), std::abs(greatest));
  const bool constant = greatest - least <= kConstantUlps * std::numeric_limits<A>::epsilon() * magnitude;
  return {kind, least, constant ? A(0) : 1 / (greatest - least)};
}

template <class A>
class UpsampledMaps {
 public:
  UpsampledMaps(int64_t count, int64_t h, int64_t w, int64_t height, int64_t width, Normalization kind)
      : rows(h, height), columns(w, width), kind_(kind), scaling_(count), widened_(count * h * width) {}

  void prepare(int64_t index, const A* cells) {
    const auto& loops = map_loops<A>();
    for (int64_t j = 0; j < rows.cells(); ++j)
      loops.widen(cells + j * columns.cells(), columns.view(), row(index, j));
    Extreme<A> least{}, greatest{};
    if (kind_ != Normalization::sigmoid)
      loops.extremes(cells, rows.view(), columns.view(), &least, &greatest);
    scaling_[index] = scaling_of(kind_, least.value, greatest.value);
  }

  void pixels(int64_t index, int64_t pixel_row, A* map) {
    const int64_t cell = rows.cell(pixel_row);
    map_loops<A>().map_row(row(index, cell), row(index, rows.next(cell)), rows.fraction(pixel_row),
                           scaling_[index], columns.pixels(), map);
  }

  const Axis<A> rows, columns;

 private:
  A* row(int64_t index, int64_t cell) {
    return widened_.data() + (index * rows.cells() + cell) * columns.pixels();
  }

  Normalization kind_;
  std::vector<Scaling<A>> scaling_;
  std::vector<A> widened_;
};

}  // namespace opticam
