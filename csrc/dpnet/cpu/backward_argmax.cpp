// Gradients through the maximum: dU_p = sum over images b of g_bp x_b,r*(b,p), and dX the other way round.
// Every shape, where entropies have no gradient, or join one that the forward pass made (`forward_gradient.cpp`).
#include <vector>

#include "backward.h"

namespace dpnet {
namespace {

// The gradient of each part: `gather` adds up the rows, of elements E, that `row` finds for an image and a part. It
// takes the place of what is there, or joins `kept` times that.
template <class T, class E, class Row>
void gather_parts(const BackwardInputs<T>& in, int64_t begin, int64_t end, T* grad_parts, std::optional<T> kept,
                  const Row& row, void (*gather)(const E* const*, const T*, int64_t, int64_t, T*)) {
  const int64_t images = in.sizes.images, depth = in.sizes.depth;
  std::vector<const E*> rows(images);
  std::vector<T> weights(images);
  Scratch<T> apart(kept ? depth : 0);
  for (int64_t part = begin; part < end; ++part) {
    for (int64_t image = 0; image < images; ++image) {
      rows[image] = row(image, part);
      weights[image] = in.grad(image, part);
    }
    T* gradient = grad_parts + part * depth;
    T* sum = kept ? apart.data() : gradient;
    gather(rows.data(), weights.data(), images, depth, sum);
    remove_radial(in.parts + part * depth, depth, sum);
    if (!kept) continue;
    for (int64_t k = 0; k < depth; ++k) gradient[k] = gradient[k] * *kept + sum[k];
  }
}

}  // namespace

template <class T>
void parts_through_argmax(const BackwardInputs<T>& in, T* grad_parts, std::optional<T> kept) {
  const bool bits = in.regions.bfloat16_row(0, 0) != nullptr;
  torch::stable::parallel_for(0, in.sizes.parts, 8, [&](int64_t begin, int64_t end) {
    if (bits) {
      const auto row = [&](int64_t image, int64_t part) { return in.regions.bfloat16_row(image, in.best(image, part)); };
      return gather_parts(in, begin, end, grad_parts, kept, row, loops<T>().gather_bfloat16);
    }
    const int64_t pitch = in.regions.buffer_pitch();
    Scratch<T> buffer(in.regions.buffer_size(in.sizes.images));
    const auto row = [&](int64_t image, int64_t part) {
      return in.regions.get(image, in.best(image, part), 1, buffer.data() + image * pitch).data;
    };
    gather_parts(in, begin, end, grad_parts, kept, row, loops<T>().gather);
  });
}

template <class T>
void regions_through_argmax(const BackwardInputs<T>& in, T* grad_regions) {
  const auto [parts, images, regions, depth] = in.sizes;
  torch::stable::parallel_for(0, images, 1, [&, parts = parts, regions = regions, depth = depth](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts; ++part) {
      const T* row = in.parts + part * depth;
      const T scale = inverse_norm(row, depth);
      for (int64_t image = begin; image < end; ++image) {
        T* gradient = grad_regions + (image * regions + in.best(image, part)) * depth;
        loops<T>().add(row, in.grad(image, part) * scale, depth, gradient);
      }
    }
  });
}

template void parts_through_argmax(const BackwardInputs<float>&, float*, std::optional<float>);
template void parts_through_argmax(const BackwardInputs<double>&, double*, std::optional<double>);
template void regions_through_argmax(const BackwardInputs<float>&, float*);
template void regions_through_argmax(const BackwardInputs<double>&, double*);

}  // namespace dpnet
