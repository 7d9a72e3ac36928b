// Float64 convolutions, and their gradients by the input, without columns in memory: y = bias + sum_t W_t x(. + t).
// CPU tensors, channels last; any kernel, stride, padding and dilation, one group. PyTorch's own writes each pixel's
// neighbourhood out first, and calls a matrix product for each image.

#include <algorithm>
#include <utility>
#include <vector>

#include "../operations.h"
#include "tensors.h"

namespace opticam {

using Sizes = std::vector<int64_t>;

// Along one axis: output `begin + i * write_step` is made of the inputs `i * read_step + offset[t]`, i < count.
struct AxisTaps {
  int64_t count, begin = 0, read_step = 1, write_step = 1;
  std::vector<int64_t> index, offset;  // of the kernel, of the input

  int64_t first(int64_t i) const { return i * read_step + *std::min_element(offset.begin(), offset.end()); }
  int64_t last(int64_t i) const { return i * read_step + *std::max_element(offset.begin(), offset.end()); }

  // The taps of output i that read inside [0, side), which follow each other: the first, and how many.
  std::pair<int64_t, int64_t> inside(int64_t i, int64_t side) const {
    const auto is_inside = [&](int64_t tap) { return 0 <= i * read_step + tap && i * read_step + tap < side; };
    const auto first = std::find_if(offset.begin(), offset.end(), is_inside);
    return {first - offset.begin(), std::find_if_not(first, offset.end(), is_inside) - first};
  }
};

struct Geometry {
  Sizes kernel, stride, padding, dilation;

  // None where the kernel is larger than the padded side.
  int64_t outputs(int axis, int64_t side) const {
    const int64_t last = side + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1;
    return last < 0 ? 0 : last / stride[axis] + 1;
  }

  AxisTaps forward(int axis, int64_t side) const {
    AxisTaps taps{outputs(axis, side), 0, stride[axis], 1, {}, {}};
    for (int64_t k = 0; k < kernel[axis]; ++k) {
      taps.index.push_back(k);
      taps.offset.push_back(k * dilation[axis] - padding[axis]);
    }
    return taps;
  }

  // Pixels that lie `phase` past a multiple of the stride meet the same positions of the kernel.
  AxisTaps backward(int axis, int64_t side, int64_t phase) const {
    AxisTaps taps{(side - phase + stride[axis] - 1) / stride[axis], phase, 1, stride[axis], {}, {}};
    for (int64_t k = 0; k < kernel[axis]; ++k) {
      const int64_t reached = phase + padding[axis] - k * dilation[axis];
      if (reached % stride[axis] != 0) continue;
      taps.index.push_back(k);
      taps.offset.push_back(reached / stride[axis]);
    }
    return taps;
  }
};

// Rows of an image [h,w,C] from `top` on: in the image itself, or copied with zeros left and right of them, or copied
// channel by channel.
struct Window {
  const double* pixels;
  int64_t top, row_step, pixel_step, channel_step;
};

class Convolution {
 public:
  Convolution(const Tensor& from, const Tensor& weights, const double* bias, const Tensor& to, int64_t kernel_width)
      : from_(read<double>(from)), channels_(from.size(1)), height_(from.size(2)), width_(from.size(3)),
        weights_(read<double>(weights)), bias_(bias), blocks_(weights.size(0)), positions_(weights.size(1)),
        to_(write<double>(to)), images_(to.size(0)), outputs_(to.size(1)), rows_(to.size(2)), columns_(to.size(3)),
        kernel_width_(kernel_width) {}

  void run(const AxisTaps& down, const AxisTaps& across) const {
    if (down.count <= 0 || across.count <= 0) return;
    const int64_t band = rows_of_a_band(down, across), bands = (down.count + band - 1) / band;
    parallel(images_ * bands, [&](int64_t task) {
      const int64_t begin = task % bands * band;
      run_band(task / bands, begin, std::min(down.count, begin + band), down, across);
    });
  }

 private:
  // It does not hang on threads, and neither do the sums.
  int64_t rows_of_a_band(const AxisTaps& down, const AxisTaps& across) const {
    const int64_t row = std::max<int64_t>(1, across.count * across.read_step * down.read_step * channels_);
    return std::max<int64_t>(1, TASK_DOUBLES / row);
  }

  void run_band(int64_t image, int64_t begin, int64_t end, const AxisTaps& down, const AxisTaps& across) const {
    std::vector<double> copy;
    const bool few = outputs_ <= FEW_OUTPUTS && across.read_step == 1;
    const Window window = look(image, begin, end, down, across, few, copy);
    std::vector<int64_t> input_at, weights_at;  // from the first row of the kernel on; its rows lie evenly
    for (size_t i = 0; i < down.index.size(); ++i)
      for (size_t j = 0; j < across.index.size(); ++j) {
        input_at.push_back((down.offset[i] - down.offset[0]) * window.row_step +
                           (across.offset[j] - across.first(0)) * window.pixel_step);
        weights_at.push_back((down.index[i] * kernel_width_ + across.index[j]) * channels_ * CONVOLUTION_LANES);
      }
    ConvolutionRow row{};
    row.input_at = input_at.data();
    row.channels = channels_;
    row.input_step = few ? window.channel_step : across.read_step * channels_;
    row.output_step = across.write_step * outputs_;
    // Rows that follow each other without a gap, on both sides, are one.
    const bool joined = !few && down.index.size() == 1 && down.first(begin) >= 0 && down.last(end - 1) < height_ &&
                        down.read_step * window.row_step == across.count * row.input_step &&
                        columns_ == across.count && down.write_step == 1 && across.write_step == 1;
    const int64_t together = joined ? end - begin : 1;
    row.pixels = across.count * together;
    const ConvolveRow convolve = few ? convolution_loops().few : convolution_loops().row;
    for (int64_t block = 0; block < blocks_; ++block) {
      const int64_t first = block * CONVOLUTION_LANES;
      for (int64_t i = begin; i < end; i += together) {
        const auto [skipped, met] = down.inside(i, height_);  // rows of the kernel beyond the image add nothing
        row.weights_at = weights_at.data() + skipped * across.index.size();
        row.positions = met * across.index.size();
        const int64_t from_row = row.positions ? i * down.read_step + down.offset[skipped] - window.top : 0;
        const int64_t to_row = image * rows_ + down.begin + i * down.write_step;
        convolve(window.pixels + from_row * window.row_step, row, weights_ + first * positions_ * channels_,
                 bias_ + first, to_ + (to_row * columns_ + across.begin) * outputs_ + first,
                 std::min<int64_t>(CONVOLUTION_LANES, outputs_ - first));
      }
    }
  }

  // What a band reads: the image itself where it is as wide as that, else a copy.
  Window look(int64_t image, int64_t begin, int64_t end, const AxisTaps& down, const AxisTaps& across, bool planes,
              std::vector<double>& copy) const {
    const double* from = from_ + image * height_ * width_ * channels_;
    if (down.index.empty() || across.index.empty()) return {from, 0, 0, channels_, 1};
    const int64_t left = across.first(0), right = across.last(across.count - 1) + 1;
    if (left >= 0 && right <= width_ && !planes)
      return {from + left * channels_, 0, width_ * channels_, channels_, 1};
    const int64_t top = std::max<int64_t>(0, down.first(begin));
    const int64_t bottom = std::max(top, std::min(height_, down.last(end - 1) + 1));
    const int64_t pitch = right - left + (planes ? PLANE_PIXELS : 0), row_step = pitch * channels_;
    const int64_t pixel_step = planes ? 1 : channels_, channel_step = planes ? pitch : 1;
    copy.assign((bottom - top) * row_step, 0);
    const int64_t inside = std::max<int64_t>(0, left), count = std::min(width_, right) - inside;
    for (int64_t y = top; y < bottom && count > 0; ++y) {
      const double* pixels = from + (y * width_ + inside) * channels_;
      double* to = copy.data() + (y - top) * row_step + (inside - left) * pixel_step;
      if (planes) {
        convolution_loops().separate(pixels, count, channels_, to, channel_step);
      } else {
        std::copy_n(pixels, count * channels_, to);
      }
    }
    return {copy.data(), top, row_step, pixel_step, channel_step};
  }

  const double* from_;
  int64_t channels_, height_, width_;
  const double* weights_;
  const double* bias_;
  int64_t blocks_, positions_;
  double* to_;
  int64_t images_, outputs_, rows_, columns_, kernel_width_;
};

static void check(const Tensor& from, const Tensor& weights, int64_t outputs, const Geometry& geometry) {
  const auto are = [](const Sizes& sizes, int64_t least) {
    return sizes.size() == 2 && sizes[0] >= least && sizes[1] >= least;
  };
  STD_TORCH_CHECK(are(geometry.kernel, 1) && are(geometry.stride, 1) && are(geometry.padding, 0) &&
                      are(geometry.dilation, 1),
                  "kernel, stride, padding, dilation: expected two numbers each, the padding from 0 on, others from 1");
  check_convolution(from, weights, outputs, geometry.kernel[0] * geometry.kernel[1]);
}

Tensor convolution(Tensor images, Tensor weights, Tensor bias, int64_t outputs, Sizes kernel, Sizes stride,
                   Sizes padding, Sizes dilation) {
  const Geometry geometry{kernel, stride, padding, dilation};
  check(images, weights, outputs, geometry);
  check_bias(bias, weights);
  const AxisTaps down = geometry.forward(0, images.size(2)), across = geometry.forward(1, images.size(3));
  STD_TORCH_CHECK(down.count > 0 && across.count > 0, "images: the kernel is larger than they are");
  const Tensor output = result({images.size(0), outputs, down.count, across.count}, ScalarType::Double, images,
                               MemoryFormat::ChannelsLast);
  Convolution(images, weights, read<double>(bias), output, kernel[1]).run(down, across);
  return output;
}

Tensor convolution_backward(Tensor gradient, Tensor weights, int64_t inputs, Sizes sides, Sizes kernel, Sizes stride,
                            Sizes padding, Sizes dilation) {
  const Geometry geometry{kernel, stride, padding, dilation};
  check(gradient, weights, inputs, geometry);
  STD_TORCH_CHECK(sides.size() == 2, "sides: expected two numbers");
  for (int axis = 0; axis < 2; ++axis)
    STD_TORCH_CHECK(geometry.outputs(axis, sides[axis]) == gradient.size(2 + axis),
                    "gradient: its sides are not those of the output");
  const Tensor output = result({gradient.size(0), inputs, sides[0], sides[1]}, ScalarType::Double, gradient,
                               MemoryFormat::ChannelsLast);
  const std::vector<double> no_bias(weights.size(0) * CONVOLUTION_LANES, 0);
  const Convolution convolution(gradient, weights, no_bias.data(), output, kernel[1]);
  for (int64_t row = 0; row < stride[0]; ++row)
    for (int64_t column = 0; column < stride[1]; ++column)
      convolution.run(geometry.backward(0, sides[0], row), geometry.backward(1, sides[1], column));
  return output;
}

}  // namespace opticam
