// Gradients through the argmax on the GPU, by gathering the regions that parts chose; float32, bfloat16, float16.
// Any shape, where `chunked.py` expects it to beat a dense product.
#include "backward_kernels.cuh"
#include "launch.cuh"
#include "../inputs.h"
#include "../operations.h"

namespace dpnet {
namespace {

int threads_per_row(int64_t pieces) {
  int threads = 1;
  while (threads < THREADS && threads < pieces) threads *= 2;
  return threads;
}

template <class T>
void run_backward(const Launch& launch, const ArgmaxArguments& in, const Tensor& regions, const Tensor& grad_parts,
                  const Tensor& grad_regions, bool need_regions) {
  launch(unit_parts_kernel<T>, in.parts, 0, in.parts_data, in.parts, in.depth, 0, static_cast<T*>(nullptr),
         const_cast<float*>(in.inverse_norms));
  launch(grad_parts_kernel<T>, in.parts, 0, in, read<T>(regions), write<float>(grad_parts));
  if (need_regions)
    launch(grad_regions_kernel<T>, in.images * in.regions, in.depth * int(sizeof(float)), in,
           write<T>(grad_regions));
}

}  // namespace

Gradients backward_argmax_cuda(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                               const Tensor& argmax, bool need_regions) {
  check_inputs(parts, regions, 16 / int64_t(regions.element_size()));
  check_argmax(grad_scores, parts, regions, argmax);
  check_rows(regions);
  const Launch launch(parts);
  const int64_t images = regions.size(0), depth = parts.size(1);
  STD_TORCH_CHECK(depth <= 24 * 1024, "part_similarity: d is ", depth, ", the CUDA kernels take at most 24576");
  Tensor grad_parts = torch::stable::new_empty(parts, {parts.size(0), depth});
  Tensor grad_regions = need_regions ? torch::stable::new_empty(regions, {images, regions.size(1), depth})
                                     : torch::stable::new_empty(regions, {0});
  Tensor norms = torch::stable::new_empty(parts, {parts.size(0)});
  ArgmaxArguments in{};
  in.grad_scores = read<float>(grad_scores);
  in.argmax = read<int>(argmax);
  in.parts_data = read<float>(parts);
  in.inverse_norms = read<float>(norms);
  in.image_stride = regions.stride(0);
  in.region_stride = regions.stride(1);
  in.images = images;
  in.parts = int(parts.size(0));
  in.regions = int(regions.size(1));
  in.depth = int(depth);
  in.threads_per_row = threads_per_row(regions.size(2) * int64_t(regions.element_size()) / 16);
  with_type(regions.scalar_type(), [&](auto zero) {
    run_backward<decltype(zero)>(launch, in, regions, grad_parts, grad_regions, need_regions);
  });
  return {grad_parts, grad_regions};
}

}  // namespace dpnet
