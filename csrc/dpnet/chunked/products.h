// PyTorch's own matrix products and views from C++, through the dispatcher: cuBLAS on a GPU, oneDNN or MKL on a CPU.
// For `chunked.cpp`, any shape.
#pragma once

#include <array>

#include "../../common/stable.h"

namespace dpnet {

// Call an operator of PyTorch whose one result is a tensor.
template <class... Arguments>
Tensor call(const char* name, const char* overload, const Arguments&... arguments) {
  std::array<StableIValue, sizeof...(Arguments)> stack{torch::stable::detail::from(arguments)...};
  TORCH_ERROR_CODE_CHECK(torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION));
  return torch::stable::detail::to<Tensor>(stack[0]);
}

// out = a b. A float32 `out` of float16 factors holds sums that float16 does not; a CPU makes float32 of the factors.
inline void multiply(const Tensor& a, const Tensor& b, const Tensor& out) {
  const ScalarType type = out.scalar_type();
  if (a.scalar_type() == type) {
    call("aten::mm", "out", a, b, out);
  } else if (a.is_cuda()) {
    call("aten::mm", "dtype_out", a, b, type, out);
  } else {
    call("aten::mm", "out", torch::stable::to(a, type), torch::stable::to(b, type), out);
  }
}

inline Tensor transposed(Tensor matrix) { return torch::stable::transpose(matrix, 0, 1); }

// Rows [first, first + count) of a tensor: itself where that is all of them, which saves a call.
inline Tensor rows_from(Tensor tensor, int64_t first, int64_t count) {
  return count == tensor.size(0) ? tensor : torch::stable::narrow(tensor, 0, first, count);
}

// The memory of a matrix as one that is not larger: itself where that is as large.
inline Tensor matrix(const Tensor& memory, int64_t rows, int64_t columns) {
  if (memory.size(0) == rows && memory.size(1) == columns) return memory;
  const Tensor flat = torch::stable::view(memory, {memory.numel()});
  return torch::stable::view(rows_from(flat, 0, rows * columns), {rows, columns});
}

// Rows [images * regions, d] of some images, copied only where they do not lie evenly spaced.
inline Tensor rows_of(const Tensor& regions, int64_t first_image, int64_t images) {
  return torch::stable::reshape(rows_from(regions, first_image, images), {images * regions.size(1), regions.size(2)});
}

}  // namespace dpnet
