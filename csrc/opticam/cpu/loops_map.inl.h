// Loops over one map: rows of cells widened to pixels and back, extremes, logistic function and its slope.
// Any shape; compiled once for each instruction set by `loops_*.cpp`.

template <class A>
A between(A first, A second, A fraction) {
  return first + fraction * (second - first);  // exact at fraction 0 and on equal values, monotone in fraction
}

template <class A>
void widen(const A* cells, AxisView<A> axis, A* pixels) {
  for (int64_t j = 0; j < axis.cells; ++j) {
    const A first = cells[j], second = j + 1 < axis.cells ? cells[j + 1] : cells[j];
#pragma omp simd
    for (int64_t p = axis.begin[j]; p < axis.begin[j + 1]; ++p)
      pixels[p] = between(first, second, axis.fraction[p]);
  }
}

template <class A>
void narrow(const A* pixels, AxisView<A> axis, A* cells) {
  A carried = 0;
  for (int64_t j = 0; j < axis.cells; ++j) {
    A sum = 0, weighted = 0;
#pragma omp simd reduction(+ : sum, weighted)
    for (int64_t p = axis.begin[j]; p < axis.begin[j + 1]; ++p) {
      sum += pixels[p];
      weighted += axis.fraction[p] * pixels[p];
    }
    cells[j] = carried + (sum - weighted);
    carried = weighted;
  }
}

// Between two cells a bilinear surface is linear along either axis, so over a block of pixels it is extreme at
// the outermost ones: the first and last pixel of each interval, on each axis, are all that need be looked at.
// Comparisons pass over NaN, so it is returned instead: whether one was met.
template <class A>
bool extremes_of_row(const A* upper, const A* lower, A fraction, int64_t row, AxisView<A> columns,
                     Extreme<A>* least, Extreme<A>* greatest) {
  bool nan = false;
  for (int64_t j = 0; j < columns.cells; ++j) {
    const int64_t next = j + 1 < columns.cells ? j + 1 : j;
    const int64_t ends[2] = {columns.begin[j], columns.begin[j + 1] - 1};
    if (ends[1] < ends[0]) continue;
    for (const int64_t column : ends) {
      const A above = between(upper[j], upper[next], columns.fraction[column]);
      const A below = between(lower[j], lower[next], columns.fraction[column]);
      const A value = between(above, below, fraction);
      if (value < least->value) *least = {value, row, column};
      if (value > greatest->value) *greatest = {value, row, column};
      nan |= value != value;
    }
  }
  return nan;
}

template <class A>
void extremes(const A* cells, AxisView<A> rows, AxisView<A> columns, Extreme<A>* least, Extreme<A>* greatest) {
  *least = {A(__builtin_inf()), 0, 0};
  *greatest = {A(-__builtin_inf()), 0, 0};
  bool nan = false;
  for (int64_t j = 0; j < rows.cells; ++j) {
    const int64_t ends[2] = {rows.begin[j], rows.begin[j + 1] - 1};
    if (ends[1] < ends[0]) continue;
    const A* upper = cells + j * columns.cells;
    const A* lower = j + 1 < rows.cells ? upper + columns.cells : upper;
    for (const int64_t row : ends)
      nan |= extremes_of_row(upper, lower, rows.fraction[row], row, columns, least, greatest);
  }
  if (nan) least->value = greatest->value = A(__builtin_nan(""));
}

// exp(x) to within 2 units of rounding, without a call, so that the loop around it stays vectorised: x is split
// into k log 2 + r with |r| <= log(2) / 2, and exp(r) is its Taylor polynomial of degree 7.
inline float exponential(float x) {
  x = x < -87.0f ? -87.0f : x;
  x = x > 88.0f ? 88.0f : x;
  const float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which the last bits then hold
  const float shifted = x * 1.44269504f + shifter;
  const float k = shifted - shifter;
  const float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;  // log 2 in two parts, the first exact
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  uint32_t bits;  // of 2^k, without a conversion, which NaN does not allow
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return p * power;
}

inline double exponential(double x) { return __builtin_exp(x); }

template <class A>
void logistic(const A* upper, const A* lower, A fraction, int64_t pixels, A* map) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) map[p] = 1 / (1 + exponential(-between(upper[p], lower[p], fraction)));
}

template <class A>
void slope(const A* map, int64_t pixels, A* slope) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) slope[p] = map[p] * (1 - map[p]);
}
