// saliency_mask forward: x * n(up(s)), s = sum_k softmax(u)_k A^k.
// CPU tensors, any number of channels, cells and pixels.

#include <array>
#include <string>
#include <tuple>
#include <vector>

#include "../operations.h"
#include "inputs.h"
#include "upsampled.h"

namespace opticam {

constexpr int64_t kRows = 32;  // pixel rows a task

template <class A>
static Tensor softmax(const Tensor& logits) {
  std::array<StableIValue, 3> stack{torch::stable::detail::from(logits), torch::stable::detail::from(int64_t(1)),
                                    torch::stable::detail::from(std::optional<ScalarType>(scalar_type<A>()))};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher("aten::softmax", "int", stack.data(), TORCH_ABI_VERSION));
  return torch::stable::contiguous(torch::stable::detail::to<Tensor>(stack[0]));
}

// surface[b] = sum over channels of weights[b, k] * features[b, k]; features of one image may serve all.
template <class T, class A>
static void combine(const Tensor& features, const Tensor& weights, const Tensor& surface) {
  const ChannelParts at(features);
  const int64_t batch = weights.size(0), cells = at.cells, parts = at.parts;
  const T* values = read<T>(features);
  std::vector<A> sums(batch * parts * cells);
  parallel(batch * parts, [&](int64_t task) {
    typed_loops<T, A>().combine(values + at.feature(task), read<A>(weights) + at.channel(task), at.count(task),
                                cells, sums.data() + task * cells);
  });
  for (int64_t image = 0; image < batch; ++image) {
    A* out = write<A>(surface) + image * cells;
    for (int64_t p = 0; p < cells; ++p) {
      out[p] = 0;
      for (int64_t part = 0; part < parts; ++part) out[p] += sums[(image * parts + part) * cells + p];
    }
  }
}

template <class T, class A>
static void mask(const Tensor& images, const ImageLayout& at, const UpsampledMaps<A>& maps, const Tensor& map,
                 const Tensor& masked) {
  const T* from = read<T>(images);
  T* to = write<T>(masked);
  A* values = write<A>(map);
  const int64_t blocks = (at.height + kRows - 1) / kRows;
  parallel(at.batch * blocks, [&](int64_t task) {
    const int64_t image = task / blocks, first = task % blocks * kRows;
    for (int64_t row = first; row < std::min(first + kRows, at.height); ++row) {
      const int64_t pixel = at.pixel(image, row);
      maps.mask(image, row, from + pixel, at.row(), values + (image * at.height + row) * at.width, to + pixel);
    }
  });
}

template <class A>
static Masked run(const Tensor& features, const Tensor& logits, const Tensor& images, Normalization kind) {
  const ImageLayout at(images);
  const int64_t h = features.size(2), w = features.size(3);
  constexpr ScalarType dtype = scalar_type<A>();
  const Tensor weights = softmax<A>(logits);
  const Tensor surface = result({at.batch, h, w}, dtype, images);
  const Tensor map = result({at.batch, at.height, at.width}, dtype, images);
  const Tensor masked = result(images.sizes(), images.scalar_type(), images, at.format());
  with_type(features.scalar_type(), [&](auto type) {
    combine<typename decltype(type)::type, A>(torch::stable::contiguous(features), weights, surface);
  });
  UpsampledMaps<A> maps(at.batch, h, w, at.height, at.width, kind);
  parallel(at.batch, [&](int64_t image) { maps.prepare(image, read<A>(surface) + image * h * w); });
  with_type(images.scalar_type(), [&](auto type) {
    mask<typename decltype(type)::type, A>(torch::stable::contiguous(images, at.format()), at, maps, map, masked);
  });
  return {masked, map, weights, surface};
}

Masked saliency_mask(Tensor features, Tensor logits, Tensor images, std::string normalization) {
  check_features(features, images);
  check_logits(logits, features, images);
  const Normalization kind = normalization_of(normalization);
  return with_sum_type(features, logits, [&](auto type) {
    return run<typename decltype(type)::type>(features, logits, images, kind);
  });
}

}  // namespace opticam
