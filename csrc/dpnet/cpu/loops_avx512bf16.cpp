// Products of bfloat16 pairs, sum_k a_k b_k in float32, by AVX512-BF16: two multiplications for one of float32.
// For bfloat16 regions of every shape, on processors that have it.
#include "../../common/target.h"
#include "loops.h"

#if HAS_AVX512BF16
#include <immintrin.h>

TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512bf16")

#include "pair_product.h"

namespace dpnet {
namespace {

struct Bfloat16Product {
  using Sum = __m512;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum add(Sum sum, __m512i a, __m512i b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

template <int R>
struct Bfloat16Rows {
  static void run(const Pair* vectors, const Pair* scalars, int64_t pitch, int64_t steps, float* out,
                  bool accumulate) {
    multiply_rows<Bfloat16Product, R>(vectors, scalars, pitch, steps, [=](int r, int v, __m512 sum) {
      float* to = out + (r * VECTORS + v) * WIDTH;
      _mm512_storeu_ps(to, accumulate ? _mm512_add_ps(_mm512_loadu_ps(to), sum) : sum);
    });
  }
};

inline __m256i narrow(__m512 values) { return (__m256i)_mm512_cvtneps_pbh(values); }

void pack(const float* values, int64_t count, Pair* run) {
  for (int64_t k = 0; k < count; k += WIDTH) {
    const __m256i bits = narrow(_mm512_maskz_loadu_ps(first_lanes(count - k), values + k));
    _mm256_mask_storeu_epi16(run->bits + k, first_lanes((count - k + 1) / 2 * 2), bits);
  }
}

// Pair r takes the place of rows 2r and 2r + 1, at half the pitch.
void pack_lanes(float* tile, int64_t rows) {
  for (int64_t r = 0; r < rows; r += 2)
    for (int v = 0; v < VECTORS; ++v) {
      const float* from = tile + (r * VECTORS + v) * WIDTH;
      const __m256i first = narrow(_mm512_loadu_ps(from));
      const __m256i second = r + 1 < rows ? narrow(_mm512_loadu_ps(from + VECTORS * WIDTH)) : _mm256_setzero_si256();
      const __m512i upper = _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16);
      _mm512_storeu_si512(tile + (r / 2 * VECTORS + v) * WIDTH, _mm512_or_si512(upper, _mm512_cvtepu16_epi32(first)));
    }
}

}  // namespace

PairLoops<Pair> avx512bf16_loops() {
  return {VECTORS * WIDTH, multiply_all<Bfloat16Rows, Pair, float>, pack, pack_lanes};
}

}  // namespace dpnet

TARGET_END
#endif
