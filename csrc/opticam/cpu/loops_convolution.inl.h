// Loop of a float64 convolution: output pixels of one row, a vector of output channels each, y = bias + sum W x.
// Any number of channels, kernel positions and pixels. The including file defines OPTICAM_VECTOR_BYTES and
// OPTICAM_ROW_PIXELS: so many pixels times two vectors of sums, two of weights and a scalar fit the registers.

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

ConvolveRow convolution() { return convolve_row; }
