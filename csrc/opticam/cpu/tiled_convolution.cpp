// Float64 convolutions of 3 x 3 in steps of 1, channels last: 16 multiplications for a tile of 2 x 2 outputs in place of
// 36 (Winograd's minimal filtering F(2 x 2, 3 x 3); Lavin and Gray, CVPR 2016). Any padding and dilation, one group.
// Each transform only adds, so the roundings are the same on all processors with fused multiply-add. What is not finite
// spreads over its tiles.

#include <algorithm>
#include <vector>

#include "../operations.h"
#include "tensors.h"

namespace opticam {

class TiledConvolution {
 public:
  TiledConvolution(const Tensor& from, const Tensor& weights, const Tensor& bias, const Tensor& to,
                   const std::vector<int64_t>& padding, const std::vector<int64_t>& dilation)
      : from_(read<double>(from)), channels_(from.size(1)), height_(from.size(2)), width_(from.size(3)),
        weights_(read<double>(weights)), bias_(read<double>(bias)), blocks_(weights.size(0)),
        to_(write<double>(to)), images_(to.size(0)), outputs_(to.size(1)), rows_(to.size(2)), columns_(to.size(3)),
        padding_(padding), dilation_(dilation), tops_(starts(rows_, dilation[0])),
        lefts_(starts(columns_, dilation[1])), tiles_(tops_.size() * lefts_.size()),
        group_(std::min<int64_t>(tiles_, std::max<int64_t>(1, TASK_DOUBLES / (16 * channels_)))),
        nothing_(channels_, 0) {}

  // Groups of tiles do not hang on threads or batch, and neither do the sums.
  void run() const {
    const int64_t groups = (tiles_ + group_ - 1) / group_;
    parallel(images_ * groups, [&](int64_t task) {
      const int64_t first = task % groups * group_;
      run_group(task / groups, first, std::min(group_, tiles_ - first));
    });
  }

 private:
  // Where the tiles of one axis begin; outputs of one tile lie a dilation apart.
  static std::vector<int64_t> starts(int64_t side, int64_t dilation) {
    std::vector<int64_t> found;
    for (int64_t phase = 0; phase < dilation; ++phase)
      for (int64_t start = phase; start < side; start += 2 * dilation) found.push_back(start);
    return found;
  }

  void run_group(int64_t image, int64_t first, int64_t count) const {
    const ConvolutionLoops loops = convolution_loops();
    const int64_t step = count * channels_, product_step = count * CONVOLUTION_LANES;
    std::vector<double> inputs(16 * step), products(16 * product_step);
    for (int64_t i = 0; i < count; ++i) {
      const double* pixels[16];
      look(image, first + i, pixels);
      loops.to_tile(pixels, channels_, inputs.data() + i * channels_, step);
    }
    const int64_t start = 0;
    const std::vector<double> no_bias(CONVOLUTION_LANES, 0);
    const ConvolutionRow row{&start, &start, 1, channels_, count, channels_, CONVOLUTION_LANES};
    for (int64_t block = 0; block < blocks_; ++block) {
      for (int64_t place = 0; place < 16; ++place)
        loops.row(inputs.data() + place * step, row,
                  weights_ + (block * 16 + place) * channels_ * CONVOLUTION_LANES, no_bias.data(),
                  products.data() + place * product_step, CONVOLUTION_LANES);
      for (int64_t i = 0; i < count; ++i) {
        double outputs[4 * CONVOLUTION_LANES];
        const int64_t lane = block * CONVOLUTION_LANES;
        loops.from_tile(products.data() + i * CONVOLUTION_LANES, product_step, bias_ + lane, outputs);
        store(outputs, image, first + i, lane);
      }
    }
  }

  // The pixels that a tile reads; zeros beyond the image.
  void look(int64_t image, int64_t tile, const double** pixels) const {
    const int64_t top = tops_[tile / lefts_.size()] - padding_[0], left = lefts_[tile % lefts_.size()] - padding_[1];
    for (int64_t i = 0; i < 16; ++i) {
      const int64_t y = top + i / 4 * dilation_[0], x = left + i % 4 * dilation_[1];
      const bool inside = 0 <= y && y < height_ && 0 <= x && x < width_;
      pixels[i] = inside ? from_ + ((image * height_ + y) * width_ + x) * channels_ : nothing_.data();
    }
  }

  void store(const double* outputs, int64_t image, int64_t tile, int64_t lane) const {
    const int64_t top = tops_[tile / lefts_.size()], left = lefts_[tile % lefts_.size()];
    const int64_t count = std::min(CONVOLUTION_LANES, outputs_ - lane);
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t y = top + i / 2 * dilation_[0], x = left + i % 2 * dilation_[1];
      if (y < rows_ && x < columns_)
        std::copy_n(outputs + i * CONVOLUTION_LANES, count,
                    to_ + ((image * rows_ + y) * columns_ + x) * outputs_ + lane);
    }
  }

  const double* from_;
  int64_t channels_, height_, width_;
  const double* weights_;
  const double* bias_;
  int64_t blocks_;
  double* to_;
  int64_t images_, outputs_, rows_, columns_;
  const std::vector<int64_t> padding_, dilation_, tops_, lefts_;
  const int64_t tiles_, group_;
  const std::vector<double> nothing_;
};

Tensor tiled_convolution(Tensor images, Tensor weights, Tensor bias, int64_t outputs, std::vector<int64_t> padding,
                         std::vector<int64_t> dilation) {
  STD_TORCH_CHECK(padding.size() == 2 && dilation.size() == 2 && dilation[0] >= 1 && dilation[1] >= 1,
                  "padding, dilation: expected two numbers each, dilations from 1 on");
  check_convolution(images, weights, outputs, 16);
  check_bias(bias, weights);
  const auto side = [&](int axis) { return images.size(2 + axis) + 2 * padding[axis] - 2 * dilation[axis]; };
  STD_TORCH_CHECK(side(0) > 0 && side(1) > 0, "images: the kernel is larger than they are");
  const Tensor output = result({images.size(0), outputs, side(0), side(1)}, ScalarType::Double, images,
                               MemoryFormat::ChannelsLast);
  TiledConvolution(images, weights, bias, output, padding, dilation).run();
  return output;
}

}  // namespace opticam
