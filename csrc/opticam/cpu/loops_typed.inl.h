// Loops over features and images: sum_k w_k A^k, x * n(s), sum_c g_c x_c.
// Any shape and stored type; compiled once for each instruction set by `loops_*.cpp`.

template <class T, class A>
void combine(const T* features, const A* weights, int64_t channels, int64_t cells, A* sums) {
  for (int64_t p = 0; p < cells; ++p) sums[p] = 0;
  int64_t k = 0;
  for (; k + 8 <= channels; k += 8) {  // eight channels a pass: the sums are loaded and stored once for all
    const T* f = features + k * cells;
    const A* w = weights + k;
#pragma omp simd
    for (int64_t p = 0; p < cells; ++p) {
      const A even = w[0] * load<A>(f[p]) + w[2] * load<A>(f[p + 2 * cells]) + w[4] * load<A>(f[p + 4 * cells]) +
                     w[6] * load<A>(f[p + 6 * cells]);
      const A odd = w[1] * load<A>(f[p + cells]) + w[3] * load<A>(f[p + 3 * cells]) + w[5] * load<A>(f[p + 5 * cells]) +
                    w[7] * load<A>(f[p + 7 * cells]);
      sums[p] += even + odd;
    }
  }
  for (; k < channels; ++k) {
#pragma omp simd
    for (int64_t p = 0; p < cells; ++p) sums[p] += weights[k] * load<A>(features[k * cells + p]);
  }
}

template <class T, class A>
void project(const T* features, const A* weights, const A* coarse, A offset, int64_t channels, int64_t cells,
             A* gradient) {
  int64_t k = 0;
  for (; k + 4 <= channels; k += 4) {  // four channels a pass: four independent sums
    const T* f = features + k * cells;
    A first = 0, second = 0, third = 0, fourth = 0;
#pragma omp simd reduction(+ : first, second, third, fourth) simdlen(16)
    for (int64_t p = 0; p < cells; ++p) {
      first += load<A>(f[p]) * coarse[p];
      second += load<A>(f[p + cells]) * coarse[p];
      third += load<A>(f[p + 2 * cells]) * coarse[p];
      fourth += load<A>(f[p + 3 * cells]) * coarse[p];
    }
    gradient[k] = weights[k] * (first - offset);
    gradient[k + 1] = weights[k + 1] * (second - offset);
    gradient[k + 2] = weights[k + 2] * (third - offset);
    gradient[k + 3] = weights[k + 3] * (fourth - offset);
  }
  for (; k < channels; ++k) {
    A sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t p = 0; p < cells; ++p) sum += load<A>(features[k * cells + p]) * coarse[p];
    gradient[k] = weights[k] * (sum - offset);
  }
}

template <class T, class A>
void convert(const T* values, int64_t count, A* converted) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) converted[i] = load<A>(values[i]);
}

// Number of colours and layout of an image row, known when a loop is compiled.
template <int count, bool together>
struct Pixel {
  static constexpr int colours = count;
  static int64_t at(int64_t pixel, int colour, int64_t plane) {
    return together ? pixel * count + colour : colour * plane + pixel;
  }
};

template <class F>
void with_pixel(RowView row, const F& f) {
  const bool together = row.plane == 1;
  if (row.colours == 0) return f(Pixel<0, false>{});
  if (row.colours == 1) return f(Pixel<1, true>{});
  if (row.colours == 2) return together ? f(Pixel<2, true>{}) : f(Pixel<2, false>{});
  if (row.colours == 3) return together ? f(Pixel<3, true>{}) : f(Pixel<3, false>{});
  return together ? f(Pixel<4, true>{}) : f(Pixel<4, false>{});
}

template <class T, class A>
void mask(const A* upper, const A* lower, A fraction, Scaling<A> scaling, const T* image, RowView row, A* map,
          T* masked) {
  with_pixel(row, [=](auto pixel) {
#pragma omp simd
    for (int64_t p = 0; p < row.pixels; ++p) {
      A value = (between(upper[p], lower[p], fraction) - scaling.low) * scaling.scale;
      value = value < scaling.floor ? scaling.floor : value;  // written so that NaN stays
      value = value > scaling.ceiling ? scaling.ceiling : value;
      map[p] = value;
      for (int c = 0; c < pixel.colours; ++c) {
        const int64_t i = pixel.at(p, c, row.plane);
        masked[i] = Store<T, A>::from(load<A>(image[i]) * value);
      }
    }
  });
}

template <class T, class A>
void collect(const T* g_masked, const T* image, A fraction, RowView row, A* sum, A* weighted) {
  with_pixel(row, [=](auto pixel) {
#pragma omp simd
    for (int64_t p = 0; p < row.pixels; ++p) {
      A g = 0;
      for (int c = 0; c < pixel.colours; ++c) {
        const int64_t i = pixel.at(p, c, row.plane);
        g += load<A>(g_masked[i]) * load<A>(image[i]);
      }
      sum[p] += g;
      weighted[p] += fraction * g;
    }
  });
}

template <class T, class A>
void collect_general(const T* g_masked, const T* image, const A* g_map, const A* factor, A fraction,
                     RowView row, A* sum, A* weighted) {
  with_pixel(row, [=](auto pixel) {
#pragma omp simd
    for (int64_t p = 0; p < row.pixels; ++p) {
      A g = g_map[p];
      for (int c = 0; c < pixel.colours; ++c) {
        const int64_t i = pixel.at(p, c, row.plane);
        g += load<A>(g_masked[i]) * load<A>(image[i]);
      }
      g *= factor[p];
      sum[p] += g;
      weighted[p] += fraction * g;
    }
  });
}

template <class Bits, class Rank>
void below(const Rank* ranks, int64_t step, int64_t pixels, Bits* keep) {
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) keep[p] = int64_t(ranks[p]) < step ? Bits(-1) : Bits(0);
}

template <class Bits>
void blend(const Bits* keep, const Bits* image, const Bits* baseline, int64_t baseline_step, int64_t pixels,
           Bits* chosen) {
  if (baseline_step == 0) {
    const Bits value = *baseline;
#pragma omp simd
    for (int64_t p = 0; p < pixels; ++p) chosen[p] = (keep[p] & image[p]) | (~keep[p] & value);
    return;
  }
#pragma omp simd
  for (int64_t p = 0; p < pixels; ++p) chosen[p] = (keep[p] & image[p]) | (~keep[p] & baseline[p]);
}
