// Panels of pairs times rows of pairs, sum_k (a_2k b_2k + a_2k+1 b_2k+1), in AVX-512, with whatever becomes of the sums.
// For `loops_avx512vnni.cpp`; included where its instruction set is on.

namespace dpnet {
namespace {

constexpr int VECTORS = 4, WIDTH = 16, ROWS = 6;

// store(row, vector, sum) takes each finished sum.
template <class Product, int R, class Pair, class Store>
inline void multiply_rows(const Pair* vectors, const Pair* scalars, int64_t pitch, int64_t steps, Store store) {
  typename Product::Sum sums[R][VECTORS];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) sums[r][v] = Product::zero();
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
      for (int v = 0; v < VECTORS; ++v) sums[r][v] = Product::add(sums[r][v], factors[v], factor);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(r, v, sums[r][v]);
}

// Calls Rows<1> to Rows<6>, each for as many rows at a time, as even as they can be.
template <template <int> class Rows, class Pair, class Out>
void multiply_all(const Pair* vectors, const Pair* scalars, int64_t pitch, int64_t rows, int64_t steps, Out* out,
                  bool accumulate) {
  using Function = void (*)(const Pair*, const Pair*, int64_t, int64_t, Out*, bool);
  static constexpr Function by_count[] = {Rows<1>::run, Rows<2>::run, Rows<3>::run,
                                          Rows<4>::run, Rows<5>::run, Rows<6>::run};
  for (int64_t r = 0, count; r < rows; r += count) {
    const int64_t left = rows - r, groups = (left + ROWS - 1) / ROWS;
    count = (left + groups - 1) / groups;
    by_count[count - 1](vectors, scalars + r * pitch, pitch, steps, out + r * VECTORS * WIDTH, accumulate);
  }
}

// The first `count` lanes of a vector; all of them from 16 on.
inline __mmask16 first_lanes(int64_t count) { return count >= WIDTH ? 0xffff : (1u << count) - 1; }

}  // namespace
}  // namespace dpnet
