// How numbers of each dtype are read and added up: float64 in float64, all others in float32; 16 bytes at a time.
// For every kernel but the tile kernel's product, which reads by whole stages; any shape.
#pragma once

#include "device.cuh"

namespace dpnet {

template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

// 16 bytes of a row as numbers.
template <class T>
struct Piece {
  static constexpr int size = 16 / sizeof(T);
  Accumulator<T> values[size];

  __device__ __forceinline__ explicit Piece(uint4 bits) {  // by value: a reference would be read number by number
    const T* each = reinterpret_cast<const T*>(&bits);
#pragma unroll
    for (int i = 0; i < size; ++i) values[i] = to_float(each[i]);
  }
  __device__ __forceinline__ explicit Piece(const T* from) : Piece(*reinterpret_cast<const uint4*>(from)) {}
};

}  // namespace dpnet
