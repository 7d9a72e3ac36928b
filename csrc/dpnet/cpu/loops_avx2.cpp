// The loops for x86-64 processors with AVX-2: 8 floats a vector, 16 registers.
#include "loops.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define DPNET_INSTRUCTIONS avx2
#define DPNET_VECTOR_BYTES 32
#define DPNET_VECTORS 2
#include "vector_loops.h"

namespace dpnet {
Loops<float> avx2_loops_float() { return avx2::table<float>("avx2"); }
Loops<double> avx2_loops_double() { return avx2::table<double>("avx2"); }
}  // namespace dpnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
