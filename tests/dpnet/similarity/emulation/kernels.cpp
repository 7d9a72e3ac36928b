// The CUDA kernels, compiled for the CPU by the emulation and called from Python.
#define DPNET_EMULATION "../../../tests/dpnet/similarity/emulation/device.h"
#include "../../../../csrc/dpnet/cuda/backward_kernels.cuh"

using namespace dpnet;

namespace {

int guarded(const std::function<void()>& action) {
  try {
    action();
    return 0;
  } catch (const std::exception&) {
    return 1;
  }
}

template <Math math>
void run_forward(const ForwardArguments& in, bool with_entropy) {
  const int64_t tiles = (in.parts + PARTS_PER_BLOCK - 1) / PARTS_PER_BLOCK;
  const int64_t blocks = tiles * ((in.images + in.images_per_block - 1) / in.images_per_block);
  const auto kernel = with_entropy ? forward_kernel<math, true> : forward_kernel<math, false>;
  emulation::launch(blocks, THREADS, STAGES * stage_size(TILE<math>), [&] { kernel(in); });
}

}  // namespace

extern "C" {

int forward(const ForwardArguments* in, int math, int with_entropy) {
  emulation::readable = {{in->units, in->units + int64_t(in->parts) * in->row_bytes},
                         {in->regions, in->regions + (in->images * in->regions_per_image - 1) * in->region_pitch +
                                           in->row_bytes}};
  const auto run = math == 0   ? run_forward<Math::bf16>
                   : math == 1 ? run_forward<Math::f16>
                   : math == 2 ? run_forward<Math::tf32>
                               : run_forward<Math::tf32x3>;
  return guarded([&] { run(*in, with_entropy); });
}

void merge_shares(const Share* shares, int64_t rows, int tiles, float* entropy, float* log_partition) {
  emulation::launch((rows + THREADS - 1) / THREADS, THREADS, 0,
                    [&] { merge_shares_kernel(shares, rows, tiles, entropy, log_partition); });
}

#define DPNET_EXPORT(T, name)                                                                                     \
  void unit_parts_##name(const float* parts, int count, int depth, int pitch, T* units, float* inverse_norms) {   \
    emulation::launch(count, THREADS, 0, [&] { unit_parts_kernel(parts, depth, pitch, units, inverse_norms); });  \
  }                                                                                                               \
  void best_region_##name(const T* product, int images, int regions, int parts, float* scores, int* argmax) {     \
    const int blocks = (parts + THREADS - 1) / THREADS;                                                           \
    emulation::launch(int64_t(images) * blocks, THREADS, 0,                                                       \
                      [&] { best_region_kernel(product, regions, parts, blocks, scores, argmax); });              \
  }                                                                                                               \
  void assignment_##name(const T* product, int64_t rows, int parts, float scale, float* entropy,                  \
                         float* log_partition) {                                                                  \
    emulation::launch(rows, THREADS, 0, [&] { assignment_kernel(product, parts, scale, entropy, log_partition); }); \
  }                                                                                                               \
  void entropy_slope_##name(T* product, int64_t rows, int parts, float scale, const float* weights,               \
                            const float* entropy, const float* log_partition) {                                   \
    emulation::launch(rows, THREADS, 0,                                                                           \
                      [&] { entropy_slope_kernel(product, parts, scale, weights, entropy, log_partition); });     \
  }                                                                                                               \
  void grad_parts_##name(const ArgmaxArguments* in, const T* regions, float* grad) {                              \
    emulation::launch(in->parts, THREADS, 0, [&] { grad_parts_kernel(*in, regions, grad); });                     \
  }                                                                                                               \
  void grad_regions_##name(const ArgmaxArguments* in, T* grad) {                                                  \
    emulation::launch(in->images * in->regions, THREADS, in->depth * sizeof(float),                               \
                      [&] { grad_regions_kernel(*in, grad); });                                                   \
  }

DPNET_EXPORT(float, float32)
DPNET_EXPORT(bfloat16, bfloat16)
DPNET_EXPORT(half, float16)

int images_per_block_for(int64_t regions, int64_t images, int64_t part_tiles, int tile, int processors) {
  return images_per_block(regions, images, part_tiles, tile, processors);
}
}
