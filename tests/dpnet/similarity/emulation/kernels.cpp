// The CUDA kernels, compiled for the CPU by the emulation and called from Python.
#define DPNET_EMULATION "../../../tests/dpnet/similarity/emulation/device.h"
#include "../../../../csrc/dpnet/cuda/device.cuh"
#include "hopper.h"
#include "../../../../csrc/dpnet/cuda/backward_kernels.cuh"
#include "../../../../csrc/dpnet/cuda/forward_tile.cuh"
#include "../../../../csrc/dpnet/cuda/hopper_kernel.cuh"
#include "../../../../csrc/dpnet/cuda/not_finite.cuh"
#include "../../../../csrc/dpnet/cuda/product_kernels.cuh"

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

template <Math math, int tile, bool with_entropy>
void run_hopper(const ForwardArguments& in, int processors) {
  const int64_t tiles = (in.parts + PARTS_PER_BLOCK - 1) / PARTS_PER_BLOCK;
  const int64_t work = tiles * ((in.images + in.images_per_block - 1) / in.images_per_block);
  const int bytes = math == Math::bf16 || math == Math::f16 ? 2 : 4;
  constexpr bool is_tf32 = math == Math::tf32;
  const int64_t rows = in.images * in.regions_per_image;
  const TileMap units{in.units, in.row_bytes, in.row_bytes, in.parts, PARTS_PER_BLOCK, bytes, is_tf32};
  const TileMap regions{in.regions, in.row_bytes, in.region_pitch, rows, tile, bytes, is_tf32};
  emulation::launch(std::min<int64_t>(work, processors), HOPPER_THREADS, HOPPER_SHARED<math, tile, with_entropy>,
                    [&] { hopper_kernel<math, tile, with_entropy>(in, units, regions, work); });
}

template <Math math, int tile>
void run_hopper(const ForwardArguments& in, bool with_entropy, int processors) {
  const auto run = with_entropy ? run_hopper<math, tile, true> : run_hopper<math, tile, false>;
  run(in, processors);
}

template <Math math>
void run_hopper(const ForwardArguments& in, int tile, bool with_entropy, int processors) {
  const auto run = tile == 256 ? run_hopper<math, 256> : run_hopper<math, 200>;
  run(in, with_entropy, processors);
}

void run_hopper_exactly(const ForwardArguments& in, int, bool with_entropy, int processors) {
  run_hopper<Math::tf32x3, 128>(in, with_entropy, processors);
}

}  // namespace

extern "C" {

int hopper(const ForwardArguments* in, int math, int tile, int with_entropy, int processors) {
  const auto run = math == 0   ? run_hopper<Math::bf16>
                   : math == 1 ? run_hopper<Math::f16>
                   : math == 2 ? run_hopper<Math::tf32>
                               : run_hopper_exactly;
  return guarded([&] { run(*in, tile, with_entropy, processors); });
}

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

void not_finite(const ForwardArguments* in) {
  const int64_t scores = in->images * in->parts;
  emulation::launch((scores + THREADS - 1) / THREADS, THREADS, 0, [&] { not_finite_kernel(*in); });
}

void merge_shares(const Share* shares, int64_t rows, int tiles, int from_nothing, Share* state, float* entropy,
                  float* log_partition) {
  emulation::launch((rows + THREADS - 1) / THREADS, THREADS, 0,
                    [&] { extend_shares_kernel(shares, rows, tiles, from_nothing != 0, state, entropy, log_partition); });
}

// What `Product`, `Found` and `Upstream` of chunked/steps.h hold, as pointers.
struct ProductArguments {
  void* values;
  int64_t first_image, images;
  int regions, pitch, parts, first_part, all_parts;
};
struct FoundArguments {
  void *scores, *argmax, *shares, *state, *entropy, *log_partition;
};
struct UpstreamArguments {
  const void *grad_scores, *argmax, *grad_entropy, *entropy, *log_partition;
};

#define DPNET_EXPORT(T, name)                                                                                     \
  void unit_parts_##name(const Accumulator<T>* parts, int count, int depth, int pitch, int rows, T* units,        \
                         Accumulator<T>* inverse_norms) {                                                         \
    emulation::launch(rows, THREADS, 0,                                                                           \
                      [&] { unit_parts_kernel<T>(parts, count, depth, pitch, units, inverse_norms); });           \
  }                                                                                                               \
  void reduce_##name(const ProductArguments* in, const FoundArguments* to, double scale, int with_entropy) {      \
    using A = Accumulator<T>;                                                                                     \
    const StoredProduct<T> product{static_cast<T*>(in->values), in->first_image, in->regions, in->pitch,          \
                                   in->parts, in->first_part, in->all_parts};                                     \
    const int64_t rows = in->images * in->regions, first = in->first_image * in->regions;                         \
    auto* const shares = static_cast<ShareOf<A>*>(to->shares);                                                    \
    const auto kernel = with_entropy ? reduce_kernel<T, true> : reduce_kernel<T, false>;                          \
    emulation::launch(in->images * product.tiles(), THREADS, 0, [&] {                                             \
      kernel(product, A(scale), static_cast<A*>(to->scores), static_cast<int*>(to->argmax), shares, rows);        \
    });                                                                                                           \
    if (!with_entropy) return;                                                                                    \
    emulation::launch((rows + THREADS - 1) / THREADS, THREADS, 0, [&] {                                           \
      extend_shares_kernel<A>(shares, rows, product.tiles(), in->first_part == 0,                                 \
                              static_cast<ShareOf<A>*>(to->state) + first, static_cast<A*>(to->entropy) + first,  \
                              static_cast<A*>(to->log_partition) + first);                                        \
    });                                                                                                           \
  }                                                                                                               \
  void slope_##name(const ProductArguments* in, const UpstreamArguments* from, double scale) {                    \
    using A = Accumulator<T>;                                                                                     \
    const StoredProduct<T> product{static_cast<T*>(in->values), in->first_image, in->regions, in->pitch,          \
                                   in->parts, in->first_part, in->all_parts};                                     \
    const auto kernel = from->grad_entropy ? slope_kernel<T, true> : slope_kernel<T, false>;                      \
    emulation::launch(in->images * product.tiles(), THREADS, 0, [&] {                                             \
      kernel(product, A(scale), static_cast<const A*>(from->grad_scores), static_cast<const int*>(from->argmax),  \
             static_cast<const A*>(from->grad_entropy), static_cast<const A*>(from->entropy),                     \
             static_cast<const A*>(from->log_partition));                                                         \
    });                                                                                                           \
  }                                                                                                               \
  void add_##name(const T* terms, int64_t count, Accumulator<T>* sums) {                                          \
    emulation::launch((count + THREADS - 1) / THREADS, THREADS, 0, [&] { add_kernel<T>(terms, count, sums); });   \
  }

#define DPNET_EXPORT_GATHER(T, name)                                                                              \
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
DPNET_EXPORT(double, float64)
DPNET_EXPORT_GATHER(float, float32)
DPNET_EXPORT_GATHER(bfloat16, bfloat16)
DPNET_EXPORT_GATHER(half, float16)

void turn_parts(const float* parts, const float* inverse_norms, int count, int depth, float* gradient) {
  emulation::launch(count, THREADS, 0, [&] { turn_parts_kernel(parts, inverse_norms, depth, gradient); });
}

int images_per_block_for(int64_t regions, int64_t images, int64_t part_tiles, int tile, int processors) {
  return images_per_block(regions, images, part_tiles, tile, processors);
}

int64_t piece_of(int64_t count, int64_t fit, int64_t step) { return piece(count, fit, step); }

int64_t hopper_work_for(int64_t regions, int64_t images, int64_t part_tiles, int processors, int exact) {
  const HopperWork work = hopper_work(regions, images, part_tiles, processors, exact != 0);
  return int64_t(work.tile) << 8 | work.images;
}
}
