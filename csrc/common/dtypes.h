// Code for each dtype of a tensor: float64, float32, bfloat16, float16 on the CPU. No formula.
// For every operation and shape.
#pragma once

#include <type_traits>

#include "stable.h"

namespace common {

template <class T>
struct Type {
  using type = T;
};

// Calls f with the Type of `dtype`, and returns what it returns.
template <class F>
auto with_type(ScalarType dtype, const F& f) {
  switch (dtype) {
    case ScalarType::Double: return f(Type<double>{});
    case ScalarType::BFloat16: return f(Type<BFloat16>{});
    case ScalarType::Half: return f(Type<Half>{});
    default:
      STD_TORCH_CHECK(dtype == ScalarType::Float, "accepted: float32, bfloat16, float16, float64");
      return f(Type<float>{});
  }
}

// The type that sums of this one are kept in.
template <class T>
using SumType = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace common
