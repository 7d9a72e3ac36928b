// Loops over features and images, compiled once for each instruction set by `loops_*.cpp`.

template <class T, class A>
void combine(const T* features, const A* weights, int64_t channels, int64_t cells, A* sums) {
  for (int64_t p = 0; p < cells; ++p) sums[p] = 0;
  int64_t k = 0;
  for (; k + 8 <= channels; k += 8) {  // eight channels a pass: the sums are loaded and stored once for all
    const T* f = features + k * cells;
    const A* w = weights + k;
#pragma omp simd
    for (int64_t p = 0; p < cells; ++p) {
      const A even = w[0] * A(f[p]) + w[2] * A(f[p + 2 * cells]) + w[4] * A(f[p + 4 * cells]) +
                     w[6] * A(f[p + 6 * cells]);
      const A odd = w[1] * A(f[p + cells]) + w[3] * A(f[p + 3 * cells]) + w[5] * A(f[p + 5 * cells]) +
                    w[7] * A(f[p + 7 * cells]);
      sums[p] += even + odd;
    }
  }
  for (; k < channels; ++k) {
#pragma omp simd
    for (int64_t p = 0; p < cells; ++p) sums[p] += weights[k] * A(features[k * cells + p]);
  }
}

template <class T, class A>
void project(const T* features, const A* weights, const A* coarse, A offset, int64_t channels, int64_t cells,
             A* gradient) {
  int64_t k = 0;
  for (; k + 4 <= channels; k += 4) {  // four channels a pass: four independent sums
    const T* f = features + k * cells;
    A first = 0, second = 0, third = 0, fourth = 0;
#pragma omp simd reduction(+ : first, second, third, fourth)
    for (int64_t p = 0; p < cells; ++p) {
      first += A(f[p]) * coarse[p];
      second += A(f[p + cells]) * coarse[p];
      third += A(f[p + 2 * cells]) * coarse[p];
      fourth += A(f[p + 3 * cells]) * coarse[p];
    }
    gradient[k] = weights[k] * (first - offset);
    gradient[k + 1] = weights[k + 1] * (second - offset);
    gradient[k + 2] = weights[k + 2] * (third - offset);
    gradient[k + 3] = weights[k + 3] * (fourth - offset);
  }
  for (; k < channels; ++k) {
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t p = 0; p < cells; ++p) sum += A(features[k * cells + p]) * coarse[p];
    gradient[k] = weights[k] * (sum - offset);
  }
}

template <class T, class A>
void convert(const T* values, int64_t count, A* converted) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) converted[i] = A(values[i]);
}

template <int colours, class T, class A>
void multiply_interleaved(const T* image, const A* map, int64_t pixels, T* masked) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p)
    for (int c = 0; c < colours; ++c) masked[p * colours + c] = T(A(image[p * colours + c]) * map[p]);
}

template <class T, class A>
void multiply(const T* image, const A* map, int64_t pixels, int64_t colours, int64_t plane, T* masked) {
  if (plane == 1 && colours == 2) return multiply_interleaved<2>(image, map, pixels, masked);
  if (plane == 1 && colours == 3) return multiply_interleaved<3>(image, map, pixels, masked);
  if (plane == 1 && colours == 4) return multiply_interleaved<4>(image, map, pixels, masked);
  for (int64_t c = 0; c < colours; ++c) {
    const T* from = image + c * plane;
    T* to = masked + c * plane;
#pragma omp simd
    for (int64_t p = 0; p < pixels; ++p) to[p] = T(A(from[p]) * map[p]);
  }
}

template <int colours, class T, class A>
void add_interleaved(const T* g_masked, const T* image, int64_t pixels, A* g) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) {
    A sum = 0;
    for (int c = 0; c < colours; ++c) sum += A(g_masked[p * colours + c]) * A(image[p * colours + c]);
    g[p] += sum;
  }
}

template <class T, class A>
void pixel_gradient(const T* g_masked, const T* image, const A* g_map, int64_t pixels, int64_t colours,
                    int64_t plane, A* g) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) g[p] = g_map ? g_map[p] : A(0);
  if (!g_masked) return;
  if (plane == 1 && colours == 2) return add_interleaved<2>(g_masked, image, pixels, g);
  if (plane == 1 && colours == 3) return add_interleaved<3>(g_masked, image, pixels, g);
  if (plane == 1 && colours == 4) return add_interleaved<4>(g_masked, image, pixels, g);
  for (int64_t c = 0; c < colours; ++c) {
    const T* gradient = g_masked + c * plane;
    const T* value = image + c * plane;
#pragma omp simd
    for (int64_t p = 0; p < pixels; ++p) g[p] += A(gradient[p]) * A(value[p]);
  }
}

template <class Bits, class Rank>
void choose(const Rank* ranks, int64_t step, const Bits* image, const Bits* baseline, int64_t baseline_step,
            int64_t pixels, Bits* chosen) {
  if (baseline_step == 0) {
    const Bits value = *baseline;
#pragma omp simd
    for (int64_t p = 0; p < pixels; ++p) chosen[p] = int64_t(ranks[p]) < step ? image[p] : value;
    return;
  }
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) chosen[p] = int64_t(ranks[p]) < step ? image[p] : baseline[p];
}
