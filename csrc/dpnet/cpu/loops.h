// The inner loops, one table for each instruction set: products, maxima and softmax sums of a tile of similarities.
// `select.cpp` chooses the table by the processor when it is first asked for. Every shape; T is float or double.
// A panel holds `lanes` unit parts side by side, [depth][lanes]; a tile their similarities to regions, [rows][lanes].
#pragma once

#include <cstdint>

namespace dpnet {

// Softmax over the parts seen so far, of one region: the largest logit, and over all of them the sums of
// e^(logit - peak) and of (logit - peak) e^(logit - peak).
template <class T>
struct Partition {
  T peak;
  T mass;
  T moment;
};

// Where the factors of a product lie: step s of row r takes scalars[r * row + s * step].
struct Strides {
  int64_t row;
  int64_t step;
};

// What the entropy gradient of one region needs: dH/dlogit = -share (log share + H).
template <class T>
struct EntropyRow {
  T log_partition;
  T entropy;
  T weight;  // upstream gradient divided by the temperature
};

template <class T>
struct Loops {
  const char* instructions;
  int64_t lanes;
  // out[r][lane] = sum over steps of vectors[step * vector_step + lane] * scalars[step of r]; added where
  // `accumulate` is set.
  void (*multiply)(const T* vectors, int64_t vector_step, const T* scalars, Strides strides, int64_t rows,
                   int64_t steps, T* out, int64_t out_pitch, bool accumulate);
  // Running maximum of each lane and the lowest row that reaches it; a NaN counts as the largest.
  void (*update_best)(const T* tile, int64_t rows, int64_t first_row, T* best, int32_t* index);
  // Extend each row's softmax by the first `count` lanes; logit = similarity * scale. Clears other lanes.
  void (*update_partition)(T* tile, int64_t rows, int64_t count, T scale, Partition<T>* partitions);
  // Turn similarities into the gradient of the entropies, in place.
  void (*entropy_slope)(T* tile, int64_t rows, T scale, const EntropyRow<T>* entropies);
  // sum[k] = sum over `count` terms of weights[i * weight_step] * rows[i][k].
  void (*gather)(const T* const* rows, const T* weights, int64_t count, int64_t depth, T* sum);
  // The same of rows that hold bfloat16, given by their bits. Null for double.
  void (*gather_bfloat16)(const uint16_t* const* rows, const T* weights, int64_t count, int64_t depth, T* sum);
  // sum[k] += weight * row[k].
  void (*add)(const T* row, T weight, int64_t depth, T* sum);
  // The inner product of two rows, added up in double.
  double (*dot)(const T* a, const T* b, int64_t depth);
  // The values of bfloat16 given by their bits.
  void (*widen)(const uint16_t* bits, int64_t count, T* values);
};

template <class T>
const Loops<T>& loops();

// Two neighbouring elements of a row as 16-bit whole numbers. Rows and panels of them are cut into runs, and each run
// has in front, in the place of one pair, the float that a 1 stands for.
struct WholePair {
  int16_t values[2];
};

// Products of pairs, two multiplications for one of float32. Panels are [factors][lanes], tiles and products float.
struct PairLoops {
  // One run: out[r][lane] = sum over steps of the two products of vectors[step][lane] and scalars[r * pitch + step].
  void (*multiply)(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t rows, int64_t steps,
                   float* out, bool accumulate);
  // One run of `count` values of a row; an odd last one is paired with 0.
  void (*pack)(const float* values, int64_t count, WholePair* run);
  // One run of each lane, along the rows of a tile, in place; they take two rows at least.
  void (*pack_lanes)(float* tile, int64_t rows);
};

// Null where the processor has no such product.
const PairLoops* pair_loops();

// What finds, cheaply, the regions that may be the best of a part; `screened_forward.cpp` says how.
struct ScreenLoops {
  int64_t lanes;
  // As in PairLoops, without the floats in front; the sums are exact as long as they fit 32 bits.
  void (*multiply)(const WholePair* vectors, const WholePair* scalars, int64_t pitch, int64_t rows, int64_t steps,
                   int32_t* out, bool accumulate);
  // whole[k] = values[k] * scale * steps, to the nearest.
  void (*quantise)(const float* values, float scale, float steps, int64_t depth, int16_t* whole);
  // Raise each lane of `floor` to the largest tile[r][lane] * scales[r] - margins[r].
  void (*raise_floor)(const int32_t* tile, int64_t rows, const float* scales, const float* margins, float* floor);
  // lanes[r] = bits of the lanes where tile[r][lane] * scales[r] + margins[r] reaches the floor.
  void (*reaching)(const int32_t* tile, int64_t rows, const float* scales, const float* margins, const float* floor,
                   uint64_t* lanes);
  // The inner product of part * scale and a row.
  float (*scaled_dot)(const float* part, float scale, const float* row, int64_t depth);
};

// Null where the processor has no such product.
const ScreenLoops* screen_loops();

// The instruction set in use, of floats and, after a plus, of pairs of whole numbers.
const char* instruction_names();

}  // namespace dpnet
