// What `chunked.cpp` does around its products, one implementation a device: unit parts before, reductions after.
// Any shape. The similarities of a product are read once.
#pragma once

#include "../../common/stable.h"

namespace dpnet {

// The similarities of some images with some parts, in memory.
struct Product {
  Tensor values;  // [images * regions, pitch], columns beyond `parts` are padding and 0
  int64_t first_image, images, regions;
  int64_t first_part, parts;
};

// What is made of all of them. Entropies are there where `scale` is, 1 / temperature.
struct Found {
  Tensor scores, argmax;                 // [images, parts]
  Tensor entropy, log_partition, state;  // [images, regions]; the softmax over the parts so far [images * regions, 3]
  std::optional<double> scale;
};

// Upstream gradients, either of which may be absent, and what forward found.
struct Upstream {
  OptionalTensor grad_scores;   // [images, parts]
  Tensor argmax;
  OptionalTensor grad_entropy;  // [images, regions], as the two below
  Tensor entropy, log_partition;
  double scale;
};

// A device's steps. Parts are in the accumulation dtype, rows one after the other.
struct Steps {
  // Rows of `units` = parts from `first` on over their norms, zeros where there is none; inverse norms [P].
  void (*unit_parts)(const Tensor& parts, int64_t first, int64_t count, const Tensor& units, const Tensor& norms);
  // Scores and argmax of this product; the softmax of its regions is extended by its parts.
  void (*reduce)(const Product& product, const Found& found);
  // The similarities become dL/dS, in place.
  void (*slope)(const Product& product, const Upstream& upstream);
  // sums = sums + terms, of as many elements; sums in the accumulation dtype.
  void (*add)(const Tensor& terms, const Tensor& sums);
  // The gradients [P, d] of unit parts become those of the parts.
  void (*turn_parts)(const Tensor& parts, const Tensor& norms, const Tensor& gradient);
};

extern const Steps steps_on_cpu;
#ifdef DPNET_WITH_CUDA
extern const Steps steps_on_cuda;
#endif

}  // namespace dpnet
