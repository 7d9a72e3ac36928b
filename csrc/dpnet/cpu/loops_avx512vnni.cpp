// Products of 16-bit whole numbers by AVX512-VNNI, sum_k a_k b_k in 32 bits without rounding: two for one of float32.
// For the screen of scores alone, and beside an entropy where `panels.h` allows; on processors that have it.
#include "../../common/target.h"
#include "loops.h"

#if HAS_AVX512VNNI
#include <immintrin.h>

TARGET_BEGIN("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma")

namespace dpnet {
namespace {

constexpr int VECTORS = 4, WIDTH = 16, ROWS = 6;

// Panels of pairs times R rows of pairs; store(row, vector, sum) takes each finished sum.
template <int R, class Store>
inline void multiply_rows(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t steps, Store store) {
  __m512i sums[R][VECTORS];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sums[r][v] = _mm512_setzero_si512();
  for (int64_t s = 0; s < steps; ++s, vectors += VECTORS * WIDTH) {
    __m512i factors[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) factors[v] = _mm512_loadu_si512(vectors + v * WIDTH);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      int bits;
      __builtin_memcpy(&bits, scalars + r * pitch + s, 4);
      const __m512i factor = _mm512_set1_epi32(bits);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = _mm512_dpwssd_epi32(sums[r][v], factors[v], factor);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(r, v, sums[r][v]);
}

// Calls Rows<1> to Rows<6>, each for as many rows at a time, as even as they can be.
template <template <int> class Rows, class Out>
void multiply_all(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t rows, int64_t steps,
                  Out* out, bool accumulate) {
  static constexpr decltype(&Rows<1>::run) by_count[] = {Rows<1>::run, Rows<2>::run, Rows<3>::run,
                                                         Rows<4>::run, Rows<5>::run, Rows<6>::run};
  for (int64_t r = 0, count; r < rows; r += count) {
    const int64_t left = rows - r, groups = (left + ROWS - 1) / ROWS;
    count = (left + groups - 1) / groups;
    by_count[count - 1](vectors, scalars + r * pitch, pitch, steps, out + r * VECTORS * WIDTH, accumulate);
  }
}

// The first `count` lanes of a vector; all of them from 16 on.
inline __mmask16 first_lanes(int64_t count) { return count >= WIDTH ? 0xffff : (1u << count) - 1; }

// The sums themselves, for the screen.
template <int R>
struct SumRows {
  static void run(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t steps, int32_t* out,
                  bool accumulate) {
    multiply_rows<R>(vectors, scalars, pitch, steps, [=](int r, int v, __m512i sum) {
      int32_t* to = out + (r * VECTORS + v) * WIDTH;
      _mm512_storeu_si512(to, accumulate ? _mm512_add_epi32(_mm512_loadu_si512(to), sum) : sum);
    });
  }
};

// The sums of a run times what a 1 stands for, in both factors, added to what is there.
template <int R>
struct UnitRows {
  static void run(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t steps, float* out, bool) {
    const auto store = [=](int r, int v, __m512i sum) {
      __asm__("" : "+v"(sum));  // else GCC carries a second copy of every sum through the loop
      float unit;
      __builtin_memcpy(&unit, scalars + r * pitch, 4);
      const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(vectors + v * WIDTH));
      float* to = out + (r * VECTORS + v) * WIDTH;
      _mm512_storeu_ps(to, _mm512_fmadd_ps(product, _mm512_set1_ps(unit), _mm512_loadu_ps(to)));
    };
    multiply_rows<R>(vectors + VECTORS * WIDTH, scalars + 1, pitch, steps, store);
  }
};

void multiply_units(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t rows, int64_t steps,
                    float* out, bool accumulate) {
  if (!accumulate) __builtin_memset(out, 0, rows * VECTORS * WIDTH * sizeof(float));
  multiply_all<UnitRows>(vectors, scalars, pitch, rows, steps, out, true);
}

// Whole numbers of a run are at most LARGEST, and the root of the sum of their squares at most NORM before they are
// rounded: with up to 256 of them below 46341 = sqrt(2^31) after it, so that by Cauchy-Schwarz no product of two runs
// leaves 32 bits, whatever the order of its terms.
constexpr float LARGEST = 32767, NORM = 46300;
constexpr float SMALLEST_PEAK = 1e-30f;  // of the values of a run: below, they count as 0

// The larger magnitude, a NaN being the largest: compared as whole numbers, in whose order they are.
inline __m512 larger(__m512 peak, __m512 values) {
  return (__m512)_mm512_max_epi32((__m512i)peak, (__m512i)_mm512_abs_ps(values));
}

// What to divide the values of a run by, given the largest magnitude and the sum of squares of values / peak. A NaN
// stays one: of two operands the minimum takes the second where it cannot compare them.
inline __m512 unit_of(__m512 peak, __m512 squares) {
  const __m512 steps = _mm512_min_ps(_mm512_set1_ps(LARGEST), _mm512_div_ps(_mm512_set1_ps(NORM), _mm512_sqrt_ps(squares)));
  return _mm512_div_ps(peak, steps);
}

void pack(const float* values, int64_t count, WholePair* run) {
  __m512 peaks = _mm512_setzero_ps(), squares = peaks;
  for (int64_t k = 0; k < count; k += WIDTH)
    peaks = larger(peaks, _mm512_maskz_loadu_ps(first_lanes(count - k), values + k));
  const __m512 peak = (__m512)_mm512_set1_epi32(_mm512_reduce_max_epi32((__m512i)peaks));
  const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1), peak);
  for (int64_t k = 0; k < count; k += WIDTH) {
    const __m512 ratio = _mm512_mul_ps(_mm512_maskz_loadu_ps(first_lanes(count - k), values + k), inverse);
    squares = _mm512_fmadd_ps(ratio, ratio, squares);
  }
  const __m512 unit = unit_of(peak, _mm512_set1_ps(_mm512_reduce_add_ps(squares)));
  float one = _mm512_cvtss_f32(unit);
  if (_mm512_cvtss_f32(peak) < SMALLEST_PEAK) one = 0;  // and a NaN or an infinity leaves a NaN
  __builtin_memcpy(run, &one, 4);
  const __m512 scale = _mm512_div_ps(_mm512_set1_ps(1), unit);
  const __mmask16 usable = one > 0 ? 0xffff : 0;
  int16_t* whole = run[1].values;
  for (int64_t k = 0; k < count; k += WIDTH) {
    const __m512 value = _mm512_maskz_loadu_ps(first_lanes(count - k) & usable, values + k);
    const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(value, scale));
    _mm256_mask_storeu_epi16(whole + k, first_lanes((count - k + 1) / 2 * 2), _mm512_cvtsepi32_epi16(rounded));
  }
}

// One vector of lanes. Pair r takes the place of row r + 1, after rows 2r and 2r + 1 have been read.
inline void pack_vector(float* tile, int64_t rows) {
  constexpr int64_t pitch = VECTORS * WIDTH;
  __m512 peak = _mm512_setzero_ps(), squares = peak;
  for (int64_t r = 0; r < rows; ++r) peak = larger(peak, _mm512_loadu_ps(tile + r * pitch));
  const __m512 inverse = _mm512_div_ps(_mm512_set1_ps(1), peak);
  for (int64_t r = 0; r < rows; ++r) {
    const __m512 ratio = _mm512_mul_ps(_mm512_loadu_ps(tile + r * pitch), inverse);
    squares = _mm512_fmadd_ps(ratio, ratio, squares);
  }
  const __mmask16 large = _mm512_cmp_ps_mask(peak, _mm512_set1_ps(SMALLEST_PEAK), _CMP_NLT_UQ);
  const __m512 unit = _mm512_maskz_mov_ps(large, unit_of(peak, squares));
  const __mmask16 usable = _mm512_cmp_ps_mask(unit, _mm512_setzero_ps(), _CMP_GT_OQ);
  const __m512 scale = _mm512_maskz_div_ps(usable, _mm512_set1_ps(1), unit);
  const auto rounded = [&](int64_t r) {
    return _mm512_cvtps_epi32(_mm512_maskz_mul_ps(usable, _mm512_loadu_ps(tile + r * pitch), scale));
  };
  for (int64_t r = 0; r < rows; r += 2) {
    const __m512i upper = r + 1 < rows ? _mm512_slli_epi32(rounded(r + 1), 16) : _mm512_setzero_si512();
    const __m512i pair = _mm512_mask_blend_epi16(0x55555555, upper, rounded(r));
    _mm512_storeu_si512(tile + (r / 2 + 1) * pitch, pair);
  }
  _mm512_storeu_ps(tile, unit);
}

void pack_lanes(float* tile, int64_t rows) {
  for (int v = 0; v < VECTORS; ++v) pack_vector(tile + v * WIDTH, rows);
}

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

PairLoops avx512vnni_loops() {
  return {multiply_units, pack, pack_lanes};
}

ScreenLoops avx512vnni_screen() {
  return {VECTORS * WIDTH, multiply_all<SumRows, int32_t>, quantise, raise_floor, reaching, scaled_dot};
}

}  // namespace dpnet

TARGET_END
#endif
