// The inner loops, a table for each instruction set: combination, upsampling, normalisation, masking, selection.
// `select.cpp` chooses the table by the processor when it is first asked for. Every shape.
// T is the type in memory, A the type of sums and maps (float, or double for double inputs).
#pragma once

#include <cstdint>

namespace opticam {

// How a value v of an upsampled map is normalised: (v - low) * scale, kept within [floor, ceiling].
template <class A>
struct Scaling {
  A low, scale, floor, ceiling;
};

// Where the pixels of one axis fall between the cells: pixel p in [begin[j], begin[j + 1]) lies `fraction[p]`
// of the way from cell j to cell j + 1; past the centre of the last cell the fraction is 0.
template <class A>
struct AxisView {
  int64_t cells;
  int64_t pixels;
  const int64_t* begin;
  const A* fraction;
};

template <class A>
struct Extreme {
  A value;
  int64_t row;
  int64_t column;
};

template <class A>
struct MapLoops {
  // One row of cells to one row of pixels.
  void (*widen)(const A* cells, AxisView<A> axis, A* pixels);
  // The transpose of `widen`, overwriting `cells`.
  void (*narrow)(const A* pixels, AxisView<A> axis, A* cells);
  // The least and greatest pixel of an upsampled map; first in raster order, or NaN if one is NaN.
  void (*extremes)(const A* cells, AxisView<A> rows, AxisView<A> columns, Extreme<A>* least,
                   Extreme<A>* greatest);
  // The logistic function of the row `fraction` of the way between two widened rows, and its slope n (1 - n).
  void (*logistic)(const A* upper, const A* lower, A fraction, int64_t pixels, A* map);
  void (*slope)(const A* map, int64_t pixels, A* slope);
};

// A row of pixels in an image: colours lie `plane` elements apart, or next to each other where plane is 1.
struct RowView {
  int64_t pixels;
  int64_t colours;
  int64_t plane;
};

template <class T, class A>
struct TypedLoops {
  // sums[p] = sum over channels of weights[k] * features[k][p].
  void (*combine)(const T* features, const A* weights, int64_t channels, int64_t cells, A* sums);
  // gradient[k] = weights[k] * (sum over p of features[k][p] * coarse[p] - offset).
  void (*project)(const T* features, const A* weights, const A* coarse, A offset, int64_t channels,
                  int64_t cells, A* gradient);
  void (*convert)(const T* values, int64_t count, A* converted);
  // map = the scaled row `fraction` of the way between two widened rows; masked = image * map.
  void (*mask)(const A* upper, const A* lower, A fraction, Scaling<A> scaling, const T* image, RowView row,
               A* map, T* masked);
  // With g = sum over colours of g_masked * image: sum += g and weighted += fraction * g.
  void (*collect)(const T* g_masked, const T* image, A fraction, RowView row, A* sum, A* weighted);
  // The same with g = (g_map + sum over colours ...) * factor; row.colours may be 0.
  void (*collect_general)(const T* g_masked, const T* image, const A* g_map, const A* factor, A fraction,
                          RowView row, A* sum, A* weighted);
};

// Elements moved as raw bits.
template <class Bits, class Rank>
struct SelectLoops {
  // keep[p] = all bits where ranks[p] < step, none elsewhere.
  void (*below)(const Rank* ranks, int64_t step, int64_t pixels, Bits* keep);
  // chosen[p] = keep[p] ? image[p] : baseline[p * baseline_step].
  void (*blend)(const Bits* keep, const Bits* image, const Bits* baseline, int64_t baseline_step, int64_t pixels,
                Bits* chosen);
};

// Output pixels of one row of a convolution, channels last. A weight's block holds CONVOLUTION_LANES output channels
// for each input channel of each kernel position.
constexpr int64_t CONVOLUTION_LANES = 16;
struct ConvolutionRow {
  const int64_t* input_at;    // where the kernel's positions read, from the first pixel's input on, in elements
  const int64_t* weights_at;  // and where their weights begin
  int64_t positions, channels, pixels;
  int64_t input_step, output_step;  // from one pixel to the next
};
// bias, weights: of one block; outputs: how many of its channels there are.
using ConvolveRow = void (*)(const double* input, const ConvolutionRow& row, const double* weights, const double* bias,
                             double* output, int64_t outputs);
// The same of few output channels, which would leave most lanes empty: a vector holds pixels in place of channels. Each
// input channel is a plane, `input_step` from one to the next, of PLANE_PIXELS more pixels than are asked for.
constexpr int64_t FEW_OUTPUTS = 4, PLANE_PIXELS = 32;
struct ConvolutionLoops {
  ConvolveRow row, few;
  // Pixels of so many channels to planes.
  void (*separate)(const double* pixels, int64_t count, int64_t channels, double* planes, int64_t step);
  // What is multiplied for a tile of 2 x 2 outputs, of the 4 x 4 pixels that it reads: 16 places, `step` apart.
  void (*to_tile)(const double* const* pixels, int64_t channels, double* places, int64_t step);
  // The outputs [4,CONVOLUTION_LANES] of a tile, of its products at 16 places, and the bias.
  void (*from_tile)(const double* places, int64_t step, const double* bias, double* outputs);
};

// The loops that suit the processor this runs on, and the name of their instruction set.
template <class A>
const MapLoops<A>& map_loops();
template <class T, class A>
const TypedLoops<T, A>& typed_loops();
template <class Bits, class Rank>
SelectLoops<Bits, Rank> select_loops();
ConvolutionLoops convolution_loops();
const char* instruction_set();

// Every combination of types that is compiled.
#define OPTICAM_MAP_TYPES(X) X(float) X(double)
#define OPTICAM_TYPED_TYPES(X)                                                   \
  X(float, float) X(BFloat16, float) X(Half, float) X(double, float)             \
  X(float, double) X(BFloat16, double) X(Half, double) X(double, double)
#define OPTICAM_SELECT_TYPES(X)                                                  \
  X(uint16_t, int32_t) X(uint32_t, int32_t) X(uint64_t, int32_t)                 \
  X(uint16_t, int64_t) X(uint32_t, int64_t) X(uint64_t, int64_t)

}  // namespace opticam
