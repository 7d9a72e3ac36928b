// Scores max_r S_rp, argmax and entropy on compute capability 9.0: unit parts, the kernel of `hopper_kernel.cuh`, the
// softmax over its tiles. The backend `hopper`: bfloat16, float16, float32 as TF32 or exact; any shape.
#ifdef DPNET_WITH_HOPPER
#include <cudaTypedefs.h>

#include <algorithm>

#include "hopper_kernel.cuh"
#include "launch.cuh"
#include "../operations.h"

namespace dpnet {
namespace {

// The driver's function, found through the runtime: the library does not link against the driver.
PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  static const auto found = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult status;
    STD_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault,
                                                    &status));
    STD_TORCH_CHECK(status == cudaDriverEntryPointSuccess, "part_similarity: the driver knows no tile maps");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  }();
  return found;
}

// What a copy makes of numbers: TF32 is rounded on the way, as products would cut it off.
template <Math math>
constexpr CUtensorMapDataType TYPE = math == Math::bf16   ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                     : math == Math::f16  ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                     : math == Math::tf32 ? CU_TENSOR_MAP_DATA_TYPE_TFLOAT32
                                                          : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;

// Tiles of `height` rows of STAGE_BYTES of a matrix of `rows` rows of `row_bytes`, `pitch` bytes apart.
template <Math math>
TileMap tile_map(const char* data, int64_t rows, int64_t row_bytes, int64_t pitch, int height) {
  constexpr uint32_t bytes = math == Math::bf16 || math == Math::f16 ? 2 : 4;
  const uint64_t sizes[2] = {uint64_t(row_bytes) / bytes, uint64_t(rows)}, strides[1] = {uint64_t(pitch)};
  const uint32_t box[2] = {STAGE_BYTES / bytes, uint32_t(height)}, steps[2] = {1, 1};
  TileMap map;
  const CUresult result = encoder()(&map, TYPE<math>, 2, const_cast<char*>(data), sizes, strides, box, steps,
                                    CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                    CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  STD_TORCH_CHECK(result == CUDA_SUCCESS, "part_similarity: a tile map failed with ", int(result));
  return map;
}

template <Math math, int tile, bool with_entropy>
void run_tiles(const Launch& launch, const ForwardArguments& in, int64_t part_tiles, int processors) {
  const int64_t work = part_tiles * ((in.images + in.images_per_block - 1) / in.images_per_block);
  const TileMap units = tile_map<math>(in.units, in.parts, in.row_bytes, in.row_bytes, PARTS_PER_BLOCK);
  const int64_t rows = in.images * in.regions_per_image;
  const TileMap regions = tile_map<math>(in.regions, rows, in.row_bytes, in.region_pitch, tile);
  launch.with_threads(HOPPER_THREADS, hopper_kernel<math, tile, with_entropy>, std::min<int64_t>(work, processors),
                      HOPPER_SHARED<math, tile, with_entropy>, in, units, regions, work);
}

template <Math math, int tile>
void run(const Launch& launch, const ForwardArguments& in, int64_t part_tiles, int processors) {
  const auto function = in.scale != 0 ? run_tiles<math, tile, true> : run_tiles<math, tile, false>;
  function(launch, in, part_tiles, processors);
}

}  // namespace

void hopper_tiles(const Launch& launch, ForwardArguments in, ScalarType type, bool tf32) {
  STD_TORCH_CHECK(in.images * in.regions_per_image <= INT32_MAX, "part_similarity: more than 2^31 regions");
  const int64_t part_tiles = divide_up(in.parts, PARTS_PER_BLOCK);
  const int processors = launch.processors();
  const bool exact = type == ScalarType::Float && !tf32;
  const HopperWork shape = hopper_work(in.regions_per_image, in.images, part_tiles, processors, exact);
  in.images_per_block = shape.images;
  const bool wide = shape.tile == 256;
  const auto function = exact                          ? run<Math::tf32x3, 128>
                        : type == ScalarType::BFloat16 ? (wide ? run<Math::bf16, 256> : run<Math::bf16, 200>)
                        : type == ScalarType::Half     ? (wide ? run<Math::f16, 256> : run<Math::f16, 200>)
                                                       : (wide ? run<Math::tf32, 256> : run<Math::tf32, 200>);
  function(launch, in, part_tiles, processors);
}

}  // namespace dpnet
#endif
