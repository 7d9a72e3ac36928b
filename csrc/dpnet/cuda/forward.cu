// Scores max_r S_rp, argmax and entropy on the GPU: unit parts, a pass of the tile kernel, the softmax over its tiles.
// The backends `cuda` and `hopper`, any shape; `dpnet/similarity/backends.py` says where "auto" takes them.
#include "forward_tile.cuh"
#include "launch.cuh"
#include "../operations.h"

namespace dpnet {
namespace {

template <class T>
void fill_unit_parts(const Launch& launch, const Tensor& parts, const Tensor& units, const Tensor& norms) {
  launch(unit_parts_kernel<T>, parts.size(0), 0, read<float>(parts), int(parts.size(0)), int(parts.size(1)),
         int(units.size(1)), write<T>(units), write<float>(norms));
}

template <Math math>
void run_tiles(const Launch& launch, ForwardArguments in, bool with_entropy) {
  const int64_t tiles = (in.parts + PARTS_PER_BLOCK - 1) / PARTS_PER_BLOCK;
  in.images_per_block = images_per_block(in.regions_per_image, in.images, tiles, TILE<math>, launch.processors());
  const int64_t blocks = tiles * ((in.images + in.images_per_block - 1) / in.images_per_block);
  const auto kernel = with_entropy ? forward_kernel<math, true> : forward_kernel<math, false>;
  launch(kernel, blocks, STAGES * stage_size(TILE<math>), in);
}

void run(const Launch& launch, const ForwardArguments& in, ScalarType type, bool tf32) {
  const bool with_entropy = in.scale != 0;
  if (type == ScalarType::BFloat16) {
    run_tiles<Math::bf16>(launch, in, with_entropy);
  } else if (type == ScalarType::Half) {
    run_tiles<Math::f16>(launch, in, with_entropy);
  } else if (tf32) {
    run_tiles<Math::tf32>(launch, in, with_entropy);
  } else {
    run_tiles<Math::tf32x3>(launch, in, with_entropy);
  }
}

// `regions` may be padded by columns that `parts` lack; unit parts are padded by zeros to match.
template <class Run>
Outputs forward_by(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, const Run& run_all) {
  check_rows(regions);
  const Launch launch(parts);
  const int64_t count = parts.size(0), images = regions.size(0), rows = images * regions.size(1);
  const int64_t part_tiles = (count + PARTS_PER_BLOCK - 1) / PARTS_PER_BLOCK;
  Tensor scores = torch::stable::new_empty(parts, {images, count});
  Tensor argmax = torch::stable::new_empty(parts, {images, count}, ScalarType::Int);
  Tensor entropy = torch::stable::new_empty(parts, {0}), log_partition = torch::stable::new_empty(parts, {0});
  Tensor shares = torch::stable::new_empty(parts, {temperature ? part_tiles * rows * 3 : 0});
  if (temperature) {
    entropy = torch::stable::new_empty(parts, {images, regions.size(1)});
    log_partition = torch::stable::new_empty(parts, {images, regions.size(1)});
  }

  Tensor units = torch::stable::new_empty(regions, {count, regions.size(2)});
  Tensor norms = torch::stable::new_empty(parts, {count});
  with_type(regions.scalar_type(), [&](auto zero) { fill_unit_parts<decltype(zero)>(launch, parts, units, norms); });
  ForwardArguments in{};
  in.units = read<char>(units);
  in.regions = read<char>(regions);
  in.scores = write<float>(scores);
  in.argmax = write<int>(argmax);
  in.shares = write<Share>(shares);
  in.region_pitch = regions.stride(1) * int64_t(regions.element_size());
  in.images = images;
  in.parts = int(count);
  in.regions_per_image = int(regions.size(1));
  in.row_bytes = int(regions.size(2) * regions.element_size());
  in.scale = temperature ? float(1 / *temperature) : 0.f;
  if (images > 0) run_all(launch, in, units);
  if (temperature)
    launch(merge_shares_kernel<const Share*>, (rows + THREADS - 1) / THREADS, 0, read<Share>(shares), rows,
           int(part_tiles), write<float>(entropy), write<float>(log_partition));
  return {scores, argmax, entropy, log_partition};
}

}  // namespace

Outputs forward_cuda(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32) {
  return forward_by(parts, regions, temperature, [&](const Launch& launch, const ForwardArguments& in, const Tensor&) {
    run(launch, in, regions.scalar_type(), tf32);
  });
}

#ifdef DPNET_WITH_HOPPER
void hopper_tiles(const Launch& launch, const ForwardArguments& in, const Tensor& units, const Tensor& regions);

Outputs forward_hopper(const Tensor& parts, const Tensor& regions, std::optional<double> temperature) {
  return forward_by(parts, regions, temperature,
                    [&](const Launch& launch, const ForwardArguments& in, const Tensor& units) {
                      hopper_tiles(launch, in, units, regions);
                    });
}
#endif

}  // namespace dpnet
