// Types and layouts of the tensors that come from Python, and how work on them is cut into tasks; no formula.
// For every operation and shape.
#pragma once

#include <algorithm>
#include <string>

#include "loops.h"
#include "../../common/dtypes.h"

namespace opticam {

// Calls f with the Type that sums are kept in: double if either tensor is, else float.
template <class F>
auto with_sum_type(const Tensor& first, const Tensor& second, const F& f) {
  const bool wide = first.scalar_type() == ScalarType::Double || second.scalar_type() == ScalarType::Double;
  return wide ? f(Type<double>{}) : f(Type<float>{});
}

template <class A>
constexpr ScalarType scalar_type() {
  return sizeof(A) == sizeof(double) ? ScalarType::Double : ScalarType::Float;
}

enum class Normalization { range, max, sigmoid };

// A new tensor of the sizes and dtype of a result. A large one asks for huge pages, where Linux leaves that to the
// program: at 4 KiB a page, a fault each costs more than the arithmetic.
Tensor result(torch::headeronly::IntHeaderOnlyArrayRef sizes, ScalarType dtype, const Tensor& like,
              MemoryFormat format = MemoryFormat::Contiguous);

inline Normalization normalization_of(const std::string& name) {
  if (name == "max") return Normalization::max;
  if (name == "sigmoid") return Normalization::sigmoid;
  STD_TORCH_CHECK(name == "range", "normalization is ", name, "; accepted: range, max, sigmoid");
  return Normalization::range;
}

// Whether [B,C,H,W] is stored pixel by pixel, the channels of each together, without gaps.
inline bool is_channels_last(const Tensor& images) {
  int64_t expected = 1;
  for (const int64_t axis : {1, 3, 2, 0}) {
    if (images.size(axis) != 1 && images.stride(axis) != expected) return false;
    expected *= images.size(axis);
  }
  return true;
}

// What a task of a convolution reads at a time, in elements: 256 KiB, so that they stay in the cache.
constexpr int64_t TASK_DOUBLES = 32768;

// Images, blocks of weights and a bias of a float64 convolution, for the loops of a row.
inline void check_convolution(const Tensor& images, const Tensor& weights, int64_t outputs, int64_t positions) {
  STD_TORCH_CHECK(images.scalar_type() == ScalarType::Double && weights.scalar_type() == ScalarType::Double,
                  "images and weights must be float64");
  STD_TORCH_CHECK(images.dim() == 4 && images.size(1) > 0 && is_channels_last(images),
                  "images: expected [B,C,h,w] of one channel or more, channels last");
  STD_TORCH_CHECK(weights.dim() == 4 && weights.is_contiguous() &&
                      weights.size(0) == (outputs + CONVOLUTION_LANES - 1) / CONVOLUTION_LANES &&
                      weights.size(1) == positions && weights.size(2) == images.size(1) &&
                      weights.size(3) == CONVOLUTION_LANES,
                  "weights: expected [blocks,", positions, ",channels,", CONVOLUTION_LANES,
                  "] of the images' channels");
}

inline void check_bias(const Tensor& bias, const Tensor& weights) {
  STD_TORCH_CHECK(bias.scalar_type() == ScalarType::Double && bias.is_contiguous() &&
                      bias.numel() == weights.size(0) * CONVOLUTION_LANES,
                  "bias: expected one number a lane of weights");
}

// Images [B,C,H,W] stored colour by colour, or with the colours of a pixel together.
struct ImageLayout {
  explicit ImageLayout(const Tensor& images)
      : batch(images.size(0)), colours(images.size(1)), height(images.size(2)), width(images.size(3)),
        interleaved(colours > 1 && !images.is_contiguous() && is_channels_last(images)) {}

  MemoryFormat format() const { return interleaved ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous; }
  RowView row() const { return {width, colours, interleaved ? 1 : height * width}; }
  int64_t pixel(int64_t image, int64_t row) const {
    return image * colours * height * width + row * width * (interleaved ? colours : 1);
  }

  int64_t batch, colours, height, width;
  bool interleaved;
};

// Features [B,K,h,w], or [1,K,h,w] that serve every image, cut into tasks of at most 256 channels of one image. The
// cut does not depend on batch or threads, so neither do the sums.
struct ChannelParts {
  static constexpr int64_t size = 256;

  explicit ChannelParts(const Tensor& features)
      : channels(features.size(1)), cells(features.size(2) * features.size(3)),
        image_step(features.size(0) == 1 ? 0 : channels * cells), parts((channels + size - 1) / size) {}

  int64_t first(int64_t task) const { return task % parts * size; }
  int64_t count(int64_t task) const { return std::min(size, channels - first(task)); }
  int64_t feature(int64_t task) const { return task / parts * image_step + first(task) * cells; }
  int64_t channel(int64_t task) const { return task / parts * channels + first(task); }

  int64_t channels, cells, image_step, parts;
};

template <class F>
void parallel(int64_t tasks, const F& f) {
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) f(task);
  });
}

}  // namespace opticam
