// The loops for x86-64 processors with AVX-512: 16 floats a vector, 32 registers.
#include "loops.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
#endif

#define DPNET_INSTRUCTIONS avx512
#define DPNET_VECTOR_BYTES 64
#define DPNET_VECTORS 4
#include "vector_loops.h"

namespace dpnet {
Loops<float> avx512_loops_float() { return avx512::table<float>("avx512"); }
Loops<double> avx512_loops_double() { return avx512::table<double>("avx512"); }
}  // namespace dpnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
