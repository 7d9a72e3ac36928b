// The regions of an image as rows of factors: in place where they are stored so, else converted or packed.
// For every pass on the CPU, any dtype and strides.
#pragma once

#include <type_traits>

#include "../../common/dtypes.h"
#include "workspace.h"

namespace dpnet {

template <class F>
struct RowView {
  const F* data;
  int64_t pitch;
};

// Rows are read in place where memory allows it, and converted into a buffer otherwise.
template <class F>
class RegionRows {
 public:
  explicit RegionRows(const Tensor& regions)
      : base_(static_cast<const char*>(regions.const_data_ptr())),
        type_(regions.scalar_type()),
        bytes_(regions.element_size()),
        image_(regions.stride(0)),
        row_(regions.stride(1)),
        column_(regions.stride(2)),
        depth_(regions.size(2)) {
    constexpr ScalarType own = sizeof(F) == 8 ? ScalarType::Double : ScalarType::Float;
    in_place_ = type_ == own && (column_ == 1 || depth_ == 1);
  }

  // Rows a whole number of pages apart would share cache sets: a little more keeps them apart.
  int64_t buffer_pitch() const { return divide_up(depth_, 16) * 16 + 16; }
  int64_t buffer_size(int64_t rows) const { return in_place_ ? 0 : rows * buffer_pitch(); }

  // A row of bfloat16 where the columns are neighbours, null for all rows otherwise.
  const uint16_t* bfloat16_row(int64_t image, int64_t row) const {
    if (type_ != ScalarType::BFloat16 || column_ != 1) return nullptr;
    return reinterpret_cast<const uint16_t*>(base_) + image * image_ + row * row_;
  }

  RowView<F> get(int64_t image, int64_t first, int64_t count, F* buffer) const {
    const char* from = base_ + (image * image_ + first * row_) * bytes_;
    if (in_place_) return {reinterpret_cast<const F*>(from), row_};
    typed(from, [&](const auto* values) { convert(values, count, buffer); });
    return {buffer, buffer_pitch()};
  }

  // Columns [start, end) of `count` rows as T, one after the other.
  template <class T>
  void copy_columns(int64_t image, int64_t first, int64_t count, int64_t start, int64_t end, T* to) const {
    typed(base_ + (image * image_ + first * row_ + start * column_) * bytes_, [&](const auto* from) {
      for (int64_t r = 0; r < count; ++r, to += end - start) convert_values(from + r * row_, end - start, to);
    });
  }

 private:
  // Call visit with the values that lie at `from`, in their own type.
  template <class Visit>
  void typed(const char* from, Visit visit) const {
    with_type(type_, [&](auto type) { visit(reinterpret_cast<const typename decltype(type)::type*>(from)); });
  }

  template <class E>
  void convert(const E* from, int64_t count, F* buffer) const {
    if (column_ != 1) return convert_columns(from, count, buffer);
    for (int64_t r = 0; r < count; ++r) convert_values(from + r * row_, depth_, buffer + r * buffer_pitch());
  }

  template <class E, class T>
  void convert_values(const E* from, int64_t count, T* to) const {
    if constexpr (std::is_same_v<E, BFloat16> && std::is_same_v<T, float>) {
      if (column_ == 1) return loops<float>().widen(reinterpret_cast<const uint16_t*>(from), count, to);
    }
    if (column_ == 1) {
      for (int64_t k = 0; k < count; ++k) to[k] = static_cast<T>(from[k]);
    } else {
      for (int64_t k = 0; k < count; ++k) to[k] = static_cast<T>(from[k * column_]);
    }
  }

  // Sixteen columns at a time, so that strided columns (a transposed feature map) reuse the lines they load.
  template <class E>
  void convert_columns(const E* from, int64_t count, F* buffer) const {
    for (int64_t start = 0; start < depth_; start += 16) {
      const int64_t end = std::min(start + 16, depth_);
      for (int64_t r = 0; r < count; ++r) {
        F* to = buffer + r * buffer_pitch();
        for (int64_t k = start; k < end; ++k) to[k] = static_cast<F>(from[r * row_ + k * column_]);
      }
    }
  }

  const char* base_;
  ScalarType type_;
  int64_t bytes_, image_, row_, column_, depth_;
  bool in_place_;
};

// A row of `depth` floats as pairs, run by run.
inline void pack_row(const float* values, int64_t depth, WholePair* row) {
  constexpr int64_t run = Factor<WholePair>::run;
  for (int64_t k = 0; k < depth; k += run, row += run_factors<WholePair>)
    pair_loops()->pack(values + k, std::min(run, depth - k), row);
}

// Rows of whole numbers are always made, from rows of floats.
template <>
class RegionRows<WholePair> {
 public:
  explicit RegionRows(const Tensor& regions) : values_(regions), depth_(regions.size(2)) {}

  int64_t buffer_pitch() const { return divide_up(factors<WholePair>(depth_), 16) * 16 + 16; }
  int64_t buffer_size(int64_t rows) const { return rows * buffer_pitch() + values_.buffer_size(rows); }

  RowView<WholePair> get(int64_t image, int64_t first, int64_t count, WholePair* buffer) const {
    static_assert(sizeof(WholePair) == sizeof(float));
    float* floats = reinterpret_cast<float*>(buffer + count * buffer_pitch());
    const RowView<float> view = values_.get(image, first, count, floats);
    for (int64_t r = 0; r < count; ++r) pack_row(view.data + r * view.pitch, depth_, buffer + r * buffer_pitch());
    return {buffer, buffer_pitch()};
  }

  void copy_columns(int64_t image, int64_t first, int64_t count, int64_t start, int64_t end, float* to) const {
    values_.copy_columns(image, first, count, start, end, to);
  }

 private:
  RegionRows<float> values_;
  int64_t depth_;
};

}  // namespace dpnet
