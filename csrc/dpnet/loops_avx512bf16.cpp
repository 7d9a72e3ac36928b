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

namespace dpnet {
namespace {

constexpr int VECTORS = 4, WIDTH = 16, ROWS = 6;

template <int R>
void multiply_rows(const Pair* vectors, const Pair* scalars, int64_t pitch, int64_t steps, float* out, bool accumulate) {
  __m512 sums[R][VECTORS];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < VECTORS; ++v) sums[r][v] = _mm512_setzero_ps();
  for (int64_t s = 0; s < steps; ++s, vectors += VECTORS * WIDTH) {
    __m512i factors[VECTORS];
    for (int v = 0; v < VECTORS; ++v) factors[v] = _mm512_loadu_si512(vectors + v * WIDTH);
    for (int r = 0; r < R; ++r) {
      int bits;
      __builtin_memcpy(&bits, scalars + r * pitch + s, 4);
      const __m512i factor = _mm512_set1_epi32(bits);
      for (int v = 0; v < VECTORS; ++v)
        sums[r][v] = _mm512_dpbf16_ps(sums[r][v], (__m512bh)factors[v], (__m512bh)factor);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < VECTORS; ++v) {
      float* to = out + (r * VECTORS + v) * WIDTH;
      _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(_mm512_loadu_ps(to), sums[r][v]) : sums[r][v]);
    }
}

void multiply(const Pair* vectors, const Pair* scalars, int64_t pitch, int64_t rows, int64_t steps, float* out,
              bool accumulate) {
  static constexpr decltype(&multiply_rows<1>) by_count[] = {multiply_rows<1>, multiply_rows<2>, multiply_rows<3>,
                                                             multiply_rows<4>, multiply_rows<5>, multiply_rows<6>};
  for (int64_t r = 0, count; r < rows; r += count) {
    const int64_t left = rows - r, groups = (left + ROWS - 1) / ROWS;
    count = (left + groups - 1) / groups;  // as even as they can be
    by_count[count - 1](vectors, scalars + r * pitch, pitch, steps, out + r * VECTORS * WIDTH, accumulate);
  }
}

}  // namespace

PairLoops avx512bf16_loops() { return {VECTORS * WIDTH, multiply}; }

}  // namespace dpnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
