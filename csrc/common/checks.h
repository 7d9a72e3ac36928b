// What operations ask of a tensor where they enter C++: its dtype and sizes. No formula.
// For every operation: called past Python's checks, what does not fit would be read or written beyond its end.
#pragma once

#include <algorithm>
#include <initializer_list>

#include "stable.h"

namespace common {

constexpr int64_t ANY = -1, SOME = -2;  // a size from 0 on, from 1 on

inline bool has_sizes(const Tensor& tensor, std::initializer_list<int64_t> asked) {
  const auto sizes = tensor.sizes();
  const auto fits = [](int64_t size, int64_t wanted) { return wanted < 0 ? size >= -1 - wanted : size == wanted; };
  return sizes.size() == asked.size() && std::equal(sizes.begin(), sizes.end(), asked.begin(), fits);
}

// float32, bfloat16, float16 or float64, as `with_type` takes.
inline bool is_floating(const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  return type == ScalarType::Float || type == ScalarType::BFloat16 || type == ScalarType::Half ||
         type == ScalarType::Double;
}

// int64, int32, int16, int8 or uint8.
inline bool is_whole(const Tensor& tensor) {
  const ScalarType type = tensor.scalar_type();
  return type == ScalarType::Long || type == ScalarType::Int || type == ScalarType::Short ||
         type == ScalarType::Char || type == ScalarType::Byte;
}

}  // namespace common
