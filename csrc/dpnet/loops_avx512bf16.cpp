// The product of bfloat16 pairs for x86-64 processors with AVX512-BF16: two multiplications for one of float32.
#include "loops.h"

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 10)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bf16"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bf16")
#endif

#include "pair_product.h"

namespace dpnet {
namespace {

struct Bfloat16Product {
  using Sum = __m512;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum add(Sum sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
  static void store(float* to, Sum sum, bool accumulate) {
    _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(_mm512_loadu_ps(to), sum) : sum);
  }
};

}  // namespace

PairLoops avx512bf16_loops() { return {VECTORS * WIDTH, multiply<Bfloat16Product, Pair, float>}; }

}  // namespace dpnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
