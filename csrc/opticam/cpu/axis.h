// Bilinear upsampling of one axis, (1 - f) c_j + f c_j+1, as PyTorch with align_corners=False; and its adjoint.
// For every map, any number of cells and pixels.
#pragma once

#include <algorithm>
#include <vector>

#include "loops.h"

namespace opticam {

template <class A>
class Axis {
 public:
  Axis(int64_t cells, int64_t pixels) : begin_(cells + 1, pixels), cell_(pixels), fraction_(pixels) {
    for (int64_t p = pixels - 1; p >= 0; --p) {
      const int64_t centre = std::max<int64_t>((2 * p + 1) * cells - pixels, 0);  // in 1 / (2 pixels) of a cell
      const int64_t cell = std::min(centre / (2 * pixels), cells - 1);
      cell_[p] = cell;
      fraction_[p] = cell + 1 < cells ? A(centre - cell * 2 * pixels) / A(2 * pixels) : A(0);
      begin_[cell] = p;
    }
    for (int64_t j = cells - 1; j >= 0; --j) begin_[j] = std::min(begin_[j], begin_[j + 1]);
  }

  int64_t cells() const { return int64_t(begin_.size()) - 1; }
  int64_t pixels() const { return int64_t(cell_.size()); }
  int64_t begin(int64_t cell) const { return begin_[cell]; }
  int64_t cell(int64_t pixel) const { return cell_[pixel]; }
  int64_t next(int64_t cell) const { return std::min(cell + 1, cells() - 1); }
  A fraction(int64_t pixel) const { return fraction_[pixel]; }
  AxisView<A> view() const { return {cells(), pixels(), begin_.data(), fraction_.data()}; }

 private:
  std::vector<int64_t> begin_;  // first pixel of each cell's interval, then the number of pixels
  std::vector<int64_t> cell_;
  std::vector<A> fraction_;
};

}  // namespace opticam
