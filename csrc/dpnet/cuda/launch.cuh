// What every launch needs: the right device and stream, a grid that fits, and an error where it fails; no formula.
// For all kernels, any shape that fits a grid.
#pragma once

#include <cuda_runtime.h>

#include "../../common/stable.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include "numbers.cuh"
#include "tile_layout.h"

namespace dpnet {

// Makes the tensor's device current for its lifetime, and holds PyTorch's current stream there.
class Launch {
 public:
  explicit Launch(const Tensor& tensor) : device_(tensor.get_device_index()), guard_(device_) {
    void* stream = nullptr;
    STD_TORCH_CHECK(aoti_torch_get_current_cuda_stream(device_, &stream) == 0, "part_similarity: no current stream");
    stream_ = static_cast<cudaStream_t>(stream);
  }

  int processors() const {
    int count = 0;
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device_));
    return count;
  }

  template <class... Parameters, class... Arguments>
  void operator()(void (*kernel)(Parameters...), int64_t blocks, int shared_bytes, Arguments... arguments) const {
    with_threads(THREADS, kernel, blocks, shared_bytes, arguments...);
  }

  template <class... Parameters, class... Arguments>
  void with_threads(int threads, void (*kernel)(Parameters...), int64_t blocks, int shared_bytes,
                    Arguments... arguments) const {
    if (blocks == 0) return;
    STD_TORCH_CHECK(blocks <= INT32_MAX, "part_similarity: ", blocks, " blocks are more than a grid holds");
    if (shared_bytes > 48 * 1024)  // beyond it a kernel must ask
      STD_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
    kernel<<<unsigned(blocks), threads, shared_bytes, stream_>>>(arguments...);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

 private:
  int32_t device_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
};

// Call function(T{}) for the element type of a tensor.
template <class Function>
auto with_type(ScalarType type, const Function& function) {
  if (type == ScalarType::BFloat16) return function(bfloat16{});
  if (type == ScalarType::Half) return function(half{});
  STD_TORCH_CHECK(type == ScalarType::Float, "part_similarity: the CUDA kernels take no such dtype");
  return function(float{});
}

inline void check_rows(const Tensor& regions) {
  const int64_t bytes = regions.element_size();
  const bool rows = regions.stride(2) == 1 && regions.stride(0) == regions.stride(1) * regions.size(1);
  const bool aligned = reinterpret_cast<uintptr_t>(regions.const_data_ptr()) % 16 == 0 &&
                       regions.stride(1) * bytes % 16 == 0 && regions.size(2) * bytes % 16 == 0;
  STD_TORCH_CHECK(rows && aligned, "part_similarity: regions must be evenly spaced rows of whole 16 bytes");
}

}  // namespace dpnet
