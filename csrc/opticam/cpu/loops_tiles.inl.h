// Loops around the products of a convolution of 3 x 3 in tiles of 2 x 2 outputs: B' d B of its pixels, A' m A of its
// products, in vectors of channels (`tiled_convolution.cpp`). Any number of channels.

// [a - c, b + c, c - b, b - d], four values `step` apart.
template <class Value>
void differences(const Value* from, Value* to, int step) {
  const Value a = from[0], b = from[step], c = from[2 * step], d = from[3 * step];
  to[0] = a - c;
  to[step] = b + c;
  to[2 * step] = c - b;
  to[3 * step] = b - d;
}

// Value: `Doubles` or double; as a template's argument it has lost its alignment, so bytes are copied.
template <class Value>
void to_places(const double* const* pixels, int64_t channel, double* places, int64_t step) {
  Value down[16], across[16];
  for (int i = 0; i < 16; ++i) __builtin_memcpy(down + i, pixels[i] + channel, sizeof(Value));
  for (int i = 0; i < 4; ++i) differences(down + i, down + i, 4);
  for (int i = 0; i < 4; ++i) differences(down + 4 * i, across + 4 * i, 1);
  for (int i = 0; i < 16; ++i) __builtin_memcpy(places + i * step + channel, across + i, sizeof(Value));
}

void to_tile(const double* const* pixels, int64_t channels, double* places, int64_t step) {
  int64_t c = 0;
  for (; c + WIDTH <= channels; c += WIDTH) to_places<Doubles>(pixels, c, places, step);
  for (; c < channels; ++c) to_places<double>(pixels, c, places, step);
}

void from_tile(const double* places, int64_t step, const double* bias, double* outputs) {
  for (int64_t lane = 0; lane < CONVOLUTION_LANES; lane += WIDTH) {
    Doubles products[16], down[8];
    for (int i = 0; i < 16; ++i) products[i] = *reinterpret_cast<const Doubles*>(places + i * step + lane);
    for (int i = 0; i < 4; ++i) {
      const Doubles* column = products + i;
      down[i] = (column[0] + column[4]) + column[8];
      down[4 + i] = (column[4] - column[8]) - column[12];
    }
    const Doubles added = *reinterpret_cast<const Doubles*>(bias + lane);
    for (int i = 0; i < 2; ++i) {
      const Doubles* row = down + 4 * i;
      Doubles* to = reinterpret_cast<Doubles*>(outputs + 2 * i * CONVOLUTION_LANES + lane);
      to[0] = ((row[0] + row[1]) + row[2]) + added;
      to[CONVOLUTION_LANES / WIDTH] = ((row[1] - row[2]) - row[3]) + added;
    }
  }
}

ConvolutionLoops convolution() { return {convolve_row, convolve_few, separate, to_tile, from_tile}; }
