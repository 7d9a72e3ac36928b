// Scores max_r S_rp, argmax and entropy on the GPU: unit parts, a pass of a tile kernel, the softmax over its tiles.
// The backends `cuda` and `hopper`, any shape; `dpnet/similarity/backends.py` says where "auto" takes them.
#include <algorithm>

#include "forward_tile.cuh"
#include "launch.cuh"
#include "not_finite.cuh"
#include "../inputs.h"
#include "../operations.h"

namespace dpnet {
namespace {

template <Math math>
void run_tiles(const Launch& launch, ForwardArguments in, bool with_entropy) {
  const int64_t tiles = divide_up(in.parts, PARTS_PER_BLOCK);
  in.images_per_block = images_per_block(in.regions_per_image, in.images, tiles, TILE<math>, launch.processors());
  const int64_t blocks = tiles * ((in.images + in.images_per_block - 1) / in.images_per_block);
  const auto kernel = with_entropy ? forward_kernel<math, true> : forward_kernel<math, false>;
  launch(kernel, blocks, STAGES * stage_size(TILE<math>), in);
}

void run_any(const Launch& launch, const ForwardArguments& in, ScalarType type, bool tf32) {
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

// What is held at a time: unit parts, and the softmax of every region over each tile of them.
constexpr int64_t UNITS_BYTES = 20 << 20, SHARES_BYTES = 10 << 20;

void make_units(const Launch& launch, const Tensor& parts, int64_t first, int64_t count, const Tensor& units,
                const Tensor& norms) {
  const int depth = int(parts.size(1));
  with_type(units.scalar_type(), [&](auto zero) {
    launch(unit_parts_kernel<decltype(zero)>, count, 0, read<float>(parts) + first * depth, int(count), depth,
           int(units.size(1)), write<decltype(zero)>(units), write<float>(norms));
  });
}

// run(launch, arguments) for all pieces. `regions` may be padded by columns that `parts` lack; unit parts are padded by
// zeros to match.
template <class Run>
Outputs forward_by(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32,
                   const Run& run) {
  check_inputs(parts, regions, 16 / int64_t(regions.element_size()));
  check_rows(regions);
  const Launch launch(parts);
  const int64_t count = parts.size(0), images = regions.size(0), each = regions.size(1);
  const int64_t row_bytes = regions.size(2) * int64_t(regions.element_size());
  const int64_t rows = temperature ? images * each : 0;
  Tensor scores = torch::stable::new_empty(parts, {images, count});
  Tensor argmax = torch::stable::new_empty(parts, {images, count}, ScalarType::Int);
  const auto each_region = [&] {
    return temperature ? torch::stable::new_empty(parts, {images, each}) : torch::stable::new_empty(parts, {0});
  };
  Tensor entropy = each_region(), log_partition = each_region();
  Tensor state = torch::stable::new_empty(parts, {rows * 3});

  const int64_t some_parts = piece(count, UNITS_BYTES / row_bytes, PARTS_PER_BLOCK);
  const int64_t tiles = some_parts / PARTS_PER_BLOCK, row_shares = tiles * each * int64_t(sizeof(Share));
  const int64_t some_images = temperature ? piece(std::max<int64_t>(images, 1), SHARES_BYTES / row_shares, 1) : images;
  Tensor units = torch::stable::new_empty(regions, {std::min(some_parts, count), regions.size(2)});
  Tensor norms = torch::stable::new_empty(parts, {std::min(some_parts, count)});
  Tensor shares = torch::stable::new_empty(parts, {temperature ? tiles * some_images * each * 3 : 0});
  for (int64_t part = 0; part < count && images > 0; part += some_parts) {
    const int64_t own_parts = std::min(some_parts, count - part);
    make_units(launch, parts, part, own_parts, units, norms);
    for (int64_t image = 0; image < images; image += some_images) {
      const int64_t own_images = std::min(some_images, images - image), own_rows = own_images * each;
      ForwardArguments in{};
      in.units = read<char>(units);
      in.region_pitch = regions.stride(1) * int64_t(regions.element_size());
      in.regions = read<char>(regions) + image * each * in.region_pitch;
      in.scores = write<float>(scores) + image * count + part;
      in.argmax = write<int>(argmax) + image * count + part;
      in.shares = write<Share>(shares);
      in.images = own_images;
      in.parts = int(own_parts);
      in.all_parts = int(count);
      in.regions_per_image = int(each);
      in.row_bytes = int(row_bytes);
      in.scale = temperature ? float(1 / *temperature) : 0.f;
      run(launch, in);
      if (regions.scalar_type() == ScalarType::Float && !tf32)
        launch(not_finite_kernel, divide_up(own_images * own_parts, THREADS), 0, in);
      if (!temperature) continue;
      launch(extend_shares_kernel<float>, divide_up(own_rows, THREADS), 0, read<Share>(shares), own_rows,
             int(divide_up(own_parts, PARTS_PER_BLOCK)), part == 0, write<Share>(state) + image * each,
             write<float>(entropy) + image * each, write<float>(log_partition) + image * each);
    }
  }
  return {scores, argmax, entropy, log_partition};
}

}  // namespace

Outputs forward_cuda(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32) {
  return forward_by(parts, regions, temperature, tf32, [&](const Launch& launch, const ForwardArguments& in) {
    run_any(launch, in, regions.scalar_type(), tf32);
  });
}

#ifdef DPNET_WITH_HOPPER
void hopper_tiles(const Launch& launch, ForwardArguments in, ScalarType type, bool tf32);

Outputs forward_hopper(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool tf32) {
  return forward_by(parts, regions, temperature, tf32, [&](const Launch& launch, const ForwardArguments& in) {
    hopper_tiles(launch, in, regions.scalar_type(), tf32);
  });
}
#endif

}  // namespace dpnet
