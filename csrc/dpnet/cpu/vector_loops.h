// The loops of `loops.h` in portable vectors: tile = X W^T, running maxima, softmax sums, slopes; any shape.
// Compiled once for each instruction set by `loops_*.cpp`. The including file defines
// DPNET_INSTRUCTIONS (a name), DPNET_VECTOR_BYTES and DPNET_VECTORS (vectors in a panel row), and includes only
// plain headers before: a function of the standard library compiled here could be linked elsewhere.

namespace dpnet {
namespace DPNET_INSTRUCTIONS {

constexpr int ROWS = 6;  // rows x vectors accumulators, plus one scalar and the vectors, fit the registers

// How many of the rows left to take next: as few groups as there can be, as even as they can be.
inline int64_t group_of(int64_t left) {
  const int64_t groups = (left + ROWS - 1) / ROWS;
  return (left + groups - 1) / groups;
}

template <class T>
struct Vector {
  static constexpr int width = DPNET_VECTOR_BYTES / sizeof(T);
  typedef T type __attribute__((vector_size(DPNET_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};
template <class T>
using V = typename Vector<T>::type;
template <class T>
constexpr int WIDTH = Vector<T>::width;
template <class T>
constexpr int LANES = WIDTH<T>* DPNET_VECTORS;

template <class T>
struct Bits;
template <>
struct Bits<float> {
  typedef int32_t integer;
  typedef uint32_t word;
  static constexpr int mantissa = 23, bias = 127, degree = 7;
  static constexpr float shift = 12582912.f;  // 1.5 * 2^23: adding it leaves the rounded value in the low bits
  static constexpr float high = 0.693359375f, low = -2.12194440e-4f, least = -86.f;
};
template <>
struct Bits<double> {
  typedef int64_t integer;
  typedef uint64_t word;
  static constexpr int mantissa = 52, bias = 1023, degree = 13;
  static constexpr double shift = 6755399441055744.;  // 1.5 * 2^52
  static constexpr double high = 0.6931471803691238, low = 1.9082149292705877e-10, least = -700.;
};
template <class T>
struct IntegerVector {
  typedef typename Bits<T>::integer type
      __attribute__((vector_size(DPNET_VECTOR_BYTES), aligned(alignof(T)), may_alias));
  typedef typename Bits<T>::word words __attribute__((vector_size(DPNET_VECTOR_BYTES), aligned(alignof(T)), may_alias));
};

template <class T>
inline V<T> load(const T* from) {
  return *reinterpret_cast<const V<T>*>(from);
}
template <class T>
inline void store(T* to, V<T> value) {
  *reinterpret_cast<V<T>*>(to) = value;
}

template <class T>
inline T sum(V<T> value) {
  T total = 0;
  for (int i = 0; i < WIDTH<T>; ++i) total += value[i];
  return total;
}

// e^x for least <= x <= 0: x = n log 2 + r, Taylor's series for e^r. NaN stays; other x, as lanes without a part have,
// give any number.
template <class T>
inline V<T> exponential(V<T> x) {
  using B = Bits<T>;
  const V<T> turns = x * T(1.4426950408889634) + B::shift;
  const V<T> n = turns - B::shift;
  const V<T> r = (x - n * B::high) - n * B::low;
  V<T> value = V<T>{} + T(1);
  for (int k = B::degree; k >= 1; --k) value = value * (r * (T(1) / T(k))) + T(1);
  const auto scale = ((typename IntegerVector<T>::words)turns + typename B::word(B::bias)) << B::mantissa;
  return value * (V<T>)scale;
}

template <class T>
inline V<T> at_least(V<T> x, T least) {
  const V<T> floor = V<T>{} + least;
  return x < floor ? floor : x;
}

template <class T, int R, bool ACCUMULATE>
void multiply_rows(const T* vectors, int64_t vector_step, const T* scalars, Strides strides, int64_t steps,
                   T* out, int64_t out_pitch) {
  constexpr int N = DPNET_VECTORS;
  V<T> sums[R][N];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < N; ++v) sums[r][v] = V<T>{};
  for (int64_t s = 0; s < steps; ++s, vectors += vector_step, scalars += strides.step) {
    V<T> factors[N];
    for (int v = 0; v < N; ++v) factors[v] = load(vectors + v * WIDTH<T>);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < N; ++v) sums[r][v] += factors[v] * scalars[r * strides.row];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < N; ++v) {
      T* to = out + r * out_pitch + v * WIDTH<T>;
      store(to, ACCUMULATE ? V<T>(load(to) + sums[r][v]) : sums[r][v]);
    }
}

template <class T, int R>
void multiply_tail(const T* vectors, int64_t vector_step, const T* scalars, Strides strides, int64_t rows,
                   int64_t steps, T* out, int64_t out_pitch, bool accumulate) {
  if (rows == R) {
    auto function = accumulate ? multiply_rows<T, R, true> : multiply_rows<T, R, false>;
    function(vectors, vector_step, scalars, strides, steps, out, out_pitch);
  } else if constexpr (R > 1) {
    multiply_tail<T, R - 1>(vectors, vector_step, scalars, strides, rows, steps, out, out_pitch, accumulate);
  }
}

template <class T>
void multiply(const T* vectors, int64_t vector_step, const T* scalars, Strides strides, int64_t rows,
              int64_t steps, T* out, int64_t out_pitch, bool accumulate) {
  for (int64_t r = 0, count; r < rows; r += count) {
    count = group_of(rows - r);
    multiply_tail<T, ROWS>(vectors, vector_step, scalars + r * strides.row, strides, count, steps,
                           out + r * out_pitch, out_pitch, accumulate);
  }
}

template <class T>
void update_best(const T* tile, int64_t rows, int64_t first_row, T* best, int32_t* index) {
  using I = typename IntegerVector<T>::type;
  for (int v = 0; v < DPNET_VECTORS; ++v, tile += WIDTH<T>, best += WIDTH<T>, index += WIDTH<T>) {
    V<T> top = load(best);
    I where;
    for (int i = 0; i < WIDTH<T>; ++i) where[i] = index[i];
    for (int64_t r = 0; r < rows; ++r) {
      const V<T> value = load(tile + r * LANES<T>);
      const I larger = (value > top) | ((value != value) & (top == top));
      top = larger ? value : top;
      where = larger ? I{} + typename Bits<T>::integer(first_row + r) : where;
    }
    store(best, top);
    for (int i = 0; i < WIDTH<T>; ++i) index[i] = static_cast<int32_t>(where[i]);
  }
}

template <class T>
inline T largest(const T* row) {
  V<T> top = load(row);
  for (int v = 1; v < DPNET_VECTORS; ++v) {
    const V<T> value = load(row + v * WIDTH<T>);
    top = value > top ? value : top;
  }
  T peak = top[0];
  for (int i = 1; i < WIDTH<T>; ++i) peak = top[i] > peak ? top[i] : peak;
  return peak;
}

// The sums of a partition, moved to a higher peak.
template <class T>
inline void raise(Partition<T>& partition, T peak) {
  const T shift = partition.peak - peak;
  partition.peak = peak;
  if (partition.mass == 0) return;  // nothing seen yet: the old peak is -inf
  const T factor = exponential<T>(at_least<T>(V<T>{} + shift, Bits<T>::least))[0];
  partition.moment = (partition.moment + partition.mass * shift) * factor;
  partition.mass *= factor;
}

template <class T>
void update_partition(T* tile, int64_t rows, int64_t count, T scale, Partition<T>* partitions) {
  for (int64_t r = 0; r < rows; ++r, tile += LANES<T>) {
    for (int64_t lane = count; lane < LANES<T>; ++lane) tile[lane] = -__builtin_inf();
    const T peak = largest(tile) * scale;
    if (peak > partitions[r].peak) raise(partitions[r], peak);
    V<T> mass{}, moment{};
    for (int v = 0; v < DPNET_VECTORS; ++v) {
      const V<T> logit = load(tile + v * WIDTH<T>) * scale - partitions[r].peak;
      const V<T> bounded = at_least<T>(logit, Bits<T>::least);
      const V<T> weight = exponential<T>(bounded);
      mass += weight;
      moment += weight * bounded;
    }
    partitions[r].mass += sum<T>(mass);
    partitions[r].moment += sum<T>(moment);
  }
}

template <class T>
void entropy_slope(T* tile, int64_t rows, T scale, const EntropyRow<T>* entropies) {
  for (int64_t r = 0; r < rows; ++r) {
    const EntropyRow<T> row = entropies[r];
    for (int v = 0; v < DPNET_VECTORS; ++v, tile += WIDTH<T>) {
      const V<T> log_share = load(tile) * scale - row.log_partition;
      const V<T> share = exponential<T>(at_least<T>(log_share, Bits<T>::least));
      store(tile, share * (log_share + row.entropy) * -row.weight);
    }
  }
}

// A vector of the values of a row: of the row's own type, or of bfloat16 widened to float.
template <class T>
inline V<T> load_values(const T* from) {
  return load(from);
}
template <class T>
inline V<T> load_values(const uint16_t* from) {
  typedef uint16_t Short __attribute__((vector_size(DPNET_VECTOR_BYTES / 2), aligned(2), may_alias));
  typedef uint32_t Long __attribute__((vector_size(DPNET_VECTOR_BYTES)));
  return (V<T>)(__builtin_convertvector(*reinterpret_cast<const Short*>(from), Long) << 16);
}
inline float value_of(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, sizeof(value));
  return value;
}
template <class T>
inline T value_of(T value) {
  return value;
}

template <class T, class E, int N>
void gather_columns(const E* const* rows, const T* weights, int64_t count, int64_t column, T* sum) {
  V<T> sums[N];
  for (int v = 0; v < N; ++v) sums[v] = V<T>{};
  for (int64_t i = 0; i < count; ++i)
    for (int v = 0; v < N; ++v) sums[v] += load_values<T>(rows[i] + column + v * WIDTH<T>) * weights[i];
  for (int v = 0; v < N; ++v) store(sum + column + v * WIDTH<T>, sums[v]);
}

template <class T, class E>
void gather(const E* const* rows, const T* weights, int64_t count, int64_t depth, T* sum) {
  constexpr int N = 8;
  int64_t column = 0;
  for (; column + N * WIDTH<T> <= depth; column += N * WIDTH<T>)
    gather_columns<T, E, N>(rows, weights, count, column, sum);
  for (; column + WIDTH<T> <= depth; column += WIDTH<T>)
    gather_columns<T, E, 1>(rows, weights, count, column, sum);
  for (; column < depth; ++column) {
    T total = 0;
    for (int64_t i = 0; i < count; ++i) total += value_of(rows[i][column]) * weights[i];
    sum[column] = total;
  }
}

template <class T>
void add(const T* row, T weight, int64_t depth, T* sum) {
  int64_t k = 0;
  for (; k + WIDTH<T> <= depth; k += WIDTH<T>) store(sum + k, V<T>(load(sum + k) + load(row + k) * weight));
  for (; k < depth; ++k) sum[k] += row[k] * weight;
}

template <class T>
double dot(const T* a, const T* b, int64_t depth) {
  constexpr int N = 4, W = WIDTH<double>;
  typedef T Values __attribute__((vector_size(W * sizeof(T)), aligned(alignof(T)), may_alias));
  V<double> sums[N];
  for (int v = 0; v < N; ++v) sums[v] = V<double>{};
  int64_t k = 0;
  for (; k + N * W <= depth; k += N * W)
    for (int v = 0; v < N; ++v)
      sums[v] += __builtin_convertvector(*reinterpret_cast<const Values*>(a + k + v * W), V<double>) *
                 __builtin_convertvector(*reinterpret_cast<const Values*>(b + k + v * W), V<double>);
  double total = sum<double>((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; k < depth; ++k) total += double(a[k]) * double(b[k]);
  return total;
}

template <class T>
void widen(const uint16_t* bits, int64_t count, T* values) {
  for (int64_t k = 0; k < count; ++k) values[k] = value_of(bits[k]);
}

inline auto gather_bits(float) { return gather<float, uint16_t>; }
inline decltype(Loops<double>::gather_bfloat16) gather_bits(double) { return nullptr; }

template <class T>
Loops<T> table(const char* name) {
  return {name,         LANES<T>,         multiply<T>, update_best<T>, update_partition<T>, entropy_slope<T>,
          gather<T, T>, gather_bits(T()), add<T>,      dot<T>,         widen<T>};
}

}  // namespace DPNET_INSTRUCTIONS
}  // namespace dpnet
