// The loops of the screen for x86-64 processors with AVX512-VNNI: pairs of 16-bit whole numbers, two multiplications
// for one of float32, and sums without rounding.
#include "loops.h"

#if defined(__x86_64__) && (defined(__clang__) || __GNUC__ >= 8)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni,fma")
#endif

#include "pair_product.h"

namespace dpnet {
namespace {

struct WholeProduct {
  using Sum = __m512i;
  static Sum zero() { return _mm512_setzero_si512(); }
  static Sum add(Sum sum, __m512i a, __m512i b) { return _mm512_dpwssd_epi32(sum, a, b); }
  static void store(int32_t* to, Sum sum, bool accumulate) {
    _mm512_storeu_si512(to, accumulate ? _mm512_add_epi32(_mm512_loadu_si512(to), sum) : sum);
  }
};

// The first `count` lanes of a vector; all of them from 16 on.
__mmask16 first_lanes(int64_t count) { return count >= WIDTH ? 0xffff : (1u << count) - 1; }

void quantise(const float* values, float scale, float steps, int64_t depth, int16_t* whole) {
  for (int64_t k = 0; k < depth; k += WIDTH) {
    const __mmask16 used = first_lanes(depth - k);
    const __m512 unit = _mm512_mul_ps(_mm512_maskz_loadu_ps(used, values + k), _mm512_set1_ps(scale));
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(unit, _mm512_set1_ps(steps)));
    _mm256_mask_storeu_epi16(whole + k, used, _mm512_cvtsepi32_epi16(rounded));
  }
}

void raise_floor(const int32_t* tile, int64_t rows, const float* scales, const float* margins, float* floor) {
  for (int v = 0; v < VECTORS; ++v) {
    __m512 top = _mm512_loadu_ps(floor + v * WIDTH);
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(tile + (r * VECTORS + v) * WIDTH));
      top = _mm512_max_ps(top, _mm512_fmsub_ps(sum, _mm512_set1_ps(scales[r]), _mm512_set1_ps(margins[r])));
    }
    _mm512_storeu_ps(floor + v * WIDTH, top);
  }
}

void reaching(const int32_t* tile, int64_t rows, const float* scales, const float* margins, const float* floor,
              uint64_t* lanes) {
  for (int64_t r = 0; r < rows; ++r) {
    const __m512 scale = _mm512_set1_ps(scales[r]), margin = _mm512_set1_ps(margins[r]);
    uint64_t found = 0;
    for (int v = 0; v < VECTORS; ++v) {
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(tile + (r * VECTORS + v) * WIDTH));
      const __m512 most = _mm512_fmadd_ps(sum, scale, margin);
      found |= uint64_t(_mm512_cmp_ps_mask(most, _mm512_loadu_ps(floor + v * WIDTH), _CMP_GE_OQ)) << (v * WIDTH);
    }
    lanes[r] = found;
  }
}

float scaled_dot(const float* part, float scale, const float* row, int64_t depth) {
  constexpr int N = 4;
  const __m512 factor = _mm512_set1_ps(scale);
  __m512 sums[N];
  for (int v = 0; v < N; ++v) sums[v] = _mm512_setzero_ps();
  int64_t k = 0;
  for (; k + N * WIDTH <= depth; k += N * WIDTH)
    for (int v = 0; v < N; ++v) {
      const __m512 unit = _mm512_mul_ps(_mm512_loadu_ps(part + k + v * WIDTH), factor);
      sums[v] = _mm512_fmadd_ps(unit, _mm512_loadu_ps(row + k + v * WIDTH), sums[v]);
    }
  for (; k < depth; k += WIDTH) {
    const __mmask16 used = first_lanes(depth - k);
    const __m512 unit = _mm512_mul_ps(_mm512_maskz_loadu_ps(used, part + k), factor);
    sums[0] = _mm512_mask3_fmadd_ps(unit, _mm512_maskz_loadu_ps(used, row + k), sums[0], used);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
}

}  // namespace

ScreenLoops avx512vnni_loops() {
  return {VECTORS * WIDTH, multiply<WholeProduct, WholePair, int32_t>, quantise, raise_floor, reaching, scaled_dot};
}

}  // namespace dpnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
