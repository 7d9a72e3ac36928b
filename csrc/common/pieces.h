// How work is cut into pieces: ceil(a / b), and pieces of even size.
// For every size from 1 on; plain integer arithmetic, for host and device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define COMMON_BOTH __host__ __device__ __forceinline__
#else
#define COMMON_BOTH inline
#endif

namespace common {

COMMON_BOTH constexpr int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Pieces of even size, of about `fit` at most, rounded up to whole groups of `step`.
inline int64_t piece(int64_t count, int64_t fit, int64_t step) {
  const int64_t most = fit / step > 0 ? fit / step * step : step;
  return divide_up(divide_up(count, divide_up(count, most)), step) * step;
}

}  // namespace common

namespace dpnet {
using common::divide_up;
using common::piece;
}  // namespace dpnet
