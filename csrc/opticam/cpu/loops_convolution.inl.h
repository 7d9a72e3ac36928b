// Loops of a float64 convolution: output pixels of one row, y = bias + sum W x, in vectors of output channels or, where
// these are few, of pixels. Any number of channels, kernel positions and pixels. The including file defines
// OPTICAM_VECTOR_BYTES and OPTICAM_ROW_PIXELS: so many pixels times two vectors of sums, two of weights and a scalar fit
// the registers.

typedef double Doubles __attribute__((vector_size(OPTICAM_VECTOR_BYTES), aligned(8), may_alias));
constexpr int WIDTH = OPTICAM_VECTOR_BYTES / sizeof(double), LANES = 2 * WIDTH;

// A sum runs over positions, then channels, whatever the processor: its roundings are the same where there is FMA.
template <int pixels>
void convolve_pixels(const double* input, const ConvolutionRow& row, const double* weights, const double* bias,
                     double* output, int64_t outputs) {
  Doubles sums[pixels][2];
  for (int p = 0; p < pixels; ++p)
    for (int v = 0; v < 2; ++v) sums[p][v] = *reinterpret_cast<const Doubles*>(bias + v * WIDTH);
  for (int64_t t = 0; t < row.positions; ++t) {
    const double* x = input + row.input_at[t];
    const double* w = weights + row.weights_at[t];
    for (int64_t c = 0; c < row.channels; ++c, w += CONVOLUTION_LANES) {
      const Doubles first = *reinterpret_cast<const Doubles*>(w);
      const Doubles second = *reinterpret_cast<const Doubles*>(w + WIDTH);
#pragma GCC unroll 16
      for (int p = 0; p < pixels; ++p) {
        const double value = x[p * row.input_step + c];
        sums[p][0] += first * value;
        sums[p][1] += second * value;
      }
    }
  }
  for (int p = 0; p < pixels; ++p, output += row.output_step) {
    if (outputs >= LANES) {
      for (int v = 0; v < 2; ++v) *reinterpret_cast<Doubles*>(output + v * WIDTH) = sums[p][v];
    } else {
      for (int64_t k = 0; k < outputs; ++k) output[k] = sums[p][k / WIDTH][k % WIDTH];
    }
  }
}

template <int pixels>
void convolve_group(int64_t count, const double* input, const ConvolutionRow& row, const double* weights,
                    const double* bias, double* output, int64_t outputs) {
  if (count == pixels) return convolve_pixels<pixels>(input, row, weights, bias, output, outputs);
  if constexpr (pixels > 1) convolve_group<pixels - 1>(count, input, row, weights, bias, output, outputs);
}

void convolve_row(const double* input, const ConvolutionRow& row, const double* weights, const double* bias,
                  double* output, int64_t outputs) {
  for (int64_t lane = 0; lane < outputs; lane += LANES) {
    for (int64_t done = 0, count; done < row.pixels; done += count) {  // groups of nearly the same size
      const int64_t left = row.pixels - done, groups = (left + OPTICAM_ROW_PIXELS - 1) / OPTICAM_ROW_PIXELS;
      count = (left + groups - 1) / groups;
      convolve_group<OPTICAM_ROW_PIXELS>(count, input + done * row.input_step, row, weights + lane, bias + lane,
                                         output + done * row.output_step + lane, outputs - lane);
    }
  }
}

constexpr int PLANE_VECTORS = OPTICAM_ROW_PIXELS / 3;  // of pixels, times FEW_OUTPUTS sums

// The sums are those of `convolve_pixels`, term by term.
template <int outputs>
void convolve_plane(const double* input, const ConvolutionRow& row, const double* weights, const double* bias,
                    double* output, int64_t pixels) {
  Doubles sums[outputs][PLANE_VECTORS];
  for (int k = 0; k < outputs; ++k)
    for (int v = 0; v < PLANE_VECTORS; ++v) sums[k][v] = bias[k] - Doubles{};
  for (int64_t t = 0; t < row.positions; ++t) {
    const double* x = input + row.input_at[t];
    const double* w = weights + row.weights_at[t];
    for (int64_t c = 0; c < row.channels; ++c, x += row.input_step, w += CONVOLUTION_LANES) {
#pragma GCC unroll 4
      for (int v = 0; v < PLANE_VECTORS; ++v) {
        const Doubles values = *reinterpret_cast<const Doubles*>(x + v * WIDTH);
#pragma GCC unroll 4
        for (int k = 0; k < outputs; ++k) sums[k][v] += values * w[k];
      }
    }
  }
  for (int64_t p = 0; p < pixels; ++p)
    for (int k = 0; k < outputs; ++k) output[p * row.output_step + k] = sums[k][p / WIDTH][p % WIDTH];
}

template <int count>
void convolve_planes(int64_t outputs, const double* input, const ConvolutionRow& row, const double* weights,
                     const double* bias, double* output, int64_t pixels) {
  if (outputs == count) return convolve_plane<count>(input, row, weights, bias, output, pixels);
  if constexpr (count > 1) convolve_planes<count - 1>(outputs, input, row, weights, bias, output, pixels);
}

void convolve_few(const double* input, const ConvolutionRow& row, const double* weights, const double* bias,
                  double* output, int64_t outputs) {
  constexpr int64_t group = PLANE_VECTORS * WIDTH;
  static_assert(group <= PLANE_PIXELS);
  for (int64_t done = 0; done < row.pixels; done += group) {
    const int64_t left = row.pixels - done;
    convolve_planes<FEW_OUTPUTS>(outputs, input + done, row, weights, bias, output + done * row.output_step,
                                 left < group ? left : group);
  }
}

// In squares, so that what is read and what is written both stay in the cache.
void separate(const double* pixels, int64_t count, int64_t channels, double* planes, int64_t step) {
  constexpr int64_t side = 8;
  int64_t x = 0;
  for (; x + side <= count; x += side)
    for (int64_t c = 0; c < channels; ++c)
#pragma GCC unroll 8
      for (int64_t i = 0; i < side; ++i) planes[c * step + x + i] = pixels[(x + i) * channels + c];
  for (; x < count; ++x)
    for (int64_t c = 0; c < channels; ++c) planes[c * step + x] = pixels[x * channels + c];
}
