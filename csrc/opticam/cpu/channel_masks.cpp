// channel_masks: x * n(up(A^k)), one range-normalised mask a channel, times the image (Score-CAM).
// CPU tensors, any number of channels and pixels.

#include <vector>

#include "../operations.h"
#include "inputs.h"
#include "upsampled.h"

namespace opticam {

template <class A>
static std::vector<A> channel_cells(const Tensor& features, int64_t image, int64_t channel) {
  const int64_t cells = features.size(2) * features.size(3);
  const int64_t first = (features.size(0) == 1 ? 0 : image * features.size(1)) + channel;
  std::vector<A> values(cells);
  with_type(features.scalar_type(), [&](auto type) {
    using T = typename decltype(type)::type;
    typed_loops<T, A>().convert(read<T>(features) + first * cells, cells, values.data());
  });
  return values;
}

template <class T, class A>
static void run(const Tensor& features, const Tensor& images, const int64_t* channels, int64_t count,
                const Tensor& masked) {
  const ImageLayout at(images);
  const T* from = read<T>(images);
  T* to = write<T>(masked);
  parallel(at.batch * count, [&](int64_t task) {
    const int64_t image = task / count;
    UpsampledMaps<A> map(1, features.size(2), features.size(3), at.height, at.width, Normalization::range);
    map.prepare(0, channel_cells<A>(features, image, channels[task]).data());
    std::vector<A> values(at.width);
    for (int64_t row = 0; row < at.height; ++row)
      map.mask(0, row, from + at.pixel(image, row), at.row(), values.data(), to + at.pixel(task, row));
  });
}

Tensor channel_masks(Tensor features, Tensor images, Tensor channels) {
  check_features(features, images);
  check_channels(channels, features, images);
  const int64_t count = channels.size(1);
  const Tensor numbers = torch::stable::contiguous(channels);
  const Tensor masked =
      result({images.size(0), count, images.size(1), images.size(2), images.size(3)}, images.scalar_type(), images);
  with_sum_type(features, features, [&](auto sum_type) {
    with_type(images.scalar_type(), [&](auto type) {
      run<typename decltype(type)::type, typename decltype(sum_type)::type>(
          torch::stable::contiguous(features), torch::stable::contiguous(images), read<int64_t>(numbers), count,
          masked);
    });
  });
  return masked;
}

}  // namespace opticam
