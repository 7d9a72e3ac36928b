// Gradients through the argmax on the GPU; maxima, entropies and their slopes of similarities that a product stored.
// The first where `gather.py` expects it to win; the others for `chunked`. float32, bfloat16, float16; any shape.
#include "launch.cuh"
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
  launch(unit_parts_kernel<T>, in.parts, 0, in.parts_data, in.depth, 0, static_cast<T*>(nullptr),
         const_cast<float*>(in.inverse_norms));
  launch(grad_parts_kernel<T>, in.parts, 0, in, read<T>(regions), write<float>(grad_parts));
  if (need_regions)
    launch(grad_regions_kernel<T>, in.images * in.regions, in.depth * int(sizeof(float)), in,
           write<T>(grad_regions));
}

}  // namespace

Gradients backward_argmax_cuda(const Tensor& grad_scores, const Tensor& parts, const Tensor& regions,
                               const Tensor& argmax, bool need_regions) {
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

std::tuple<Tensor, Tensor> best_region_cuda(const Tensor& product) {
  const Launch launch(product);
  const int64_t images = product.size(0), regions = product.size(1), parts = product.size(2);
  Tensor scores = torch::stable::new_empty(product, {images, parts}, ScalarType::Float);
  Tensor argmax = torch::stable::new_empty(product, {images, parts}, ScalarType::Int);
  const int64_t blocks = (parts + THREADS - 1) / THREADS;
  with_type(product.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    launch(best_region_kernel<T>, images * blocks, 0, read<T>(product), int(regions), int(parts),
           int(blocks), write<float>(scores), write<int>(argmax));
  });
  return {scores, argmax};
}

std::tuple<Tensor, Tensor> assignment_cuda(const Tensor& product, double temperature) {
  const Launch launch(product);
  const int64_t images = product.size(0), regions = product.size(1);
  Tensor entropy = torch::stable::new_empty(product, {images, regions}, ScalarType::Float);
  Tensor log_partition = torch::stable::new_empty(product, {images, regions}, ScalarType::Float);
  with_type(product.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    launch(assignment_kernel<T>, images * regions, 0, read<T>(product), int(product.size(2)),
           float(1 / temperature), write<float>(entropy), write<float>(log_partition));
  });
  return {entropy, log_partition};
}

void entropy_slope_cuda(Tensor product, const Tensor& weight, const Tensor& entropy, const Tensor& log_partition,
                        double temperature) {
  const Launch launch(product);
  with_type(product.scalar_type(), [&](auto zero) {
    using T = decltype(zero);
    launch(entropy_slope_kernel<T>, product.size(0) * product.size(1), 0, write<T>(product),
           int(product.size(2)), float(1 / temperature), read<float>(weight),
           read<float>(entropy), read<float>(log_partition));
  });
}

}  // namespace dpnet
