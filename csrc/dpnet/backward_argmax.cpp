// Gradients through the maximum: dU_p = sum over images b of g_bp x_b,r*(b,p), and dX the other way round.
#include <vector>

#include "backward.h"

namespace dpnet {

template <class T>
void parts_through_argmax(const BackwardInputs<T>& in, T* grad_parts) {
  const auto [parts, images, regions, depth] = in.sizes;
  const int64_t pitch = in.regions.buffer_pitch();
  torch::stable::parallel_for(0, parts, 8, [&, parts = parts, images = images, depth = depth](int64_t begin, int64_t end) {
    Scratch<T> buffer(in.regions.buffer_size(images));
    std::vector<const T*> rows(images);
    std::vector<T> weights(images);
    for (int64_t part = begin; part < end; ++part) {
      for (int64_t image = 0; image < images; ++image) {
        rows[image] = in.regions.get(image, in.best(image, part), 1, buffer.data() + image * pitch).data;
        weights[image] = in.grad(image, part);
      }
      T* gradient = grad_parts + part * depth;
      loops<T>().gather(rows.data(), weights.data(), images, depth, gradient);
      remove_radial(in.parts + part * depth, depth, gradient);
    }
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

template void parts_through_argmax(const BackwardInputs<float>&, float*);
template void parts_through_argmax(const BackwardInputs<double>&, double*);
template void regions_through_argmax(const BackwardInputs<float>&, float*);
template void regions_through_argmax(const BackwardInputs<double>&, double*);

}  // namespace dpnet
