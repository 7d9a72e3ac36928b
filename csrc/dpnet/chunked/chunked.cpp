// Scores, argmax and entropy, and their gradients, from products of PyTorch on some images and parts at a time, which
// are reduced while they are in the last level of cache. On CPU and CUDA; best where the product is most of the time.
//
// `workspace` bytes bound what is held: up to a third of it is unit parts, and on the way back what is added to their
// gradient; the rest is similarities.
//
// dL/dS takes the place of the similarities, in the dtype of the regions. Float16 holds it where upstream gradients are
// near 1, so that these come times a power of two (`chunked.py`); what it is multiplied into is float32, half as many
// rows at a time.
#include <algorithm>

#include "../../common/pieces.h"
#include "../inputs.h"
#include "../operations.h"
#include "products.h"
#include "steps.h"

namespace dpnet {
namespace {

const Steps& steps_for(const Tensor& tensor) {
#ifdef DPNET_WITH_CUDA
  if (tensor.is_cuda()) return steps_on_cuda;
#endif
  STD_TORCH_CHECK(tensor.is_cpu(), "part_similarity: no steps for this device");
  return steps_on_cpu;
}

bool is_half(const Tensor& regions) { return regions.scalar_type() == ScalarType::Half; }

// Which way: back, terms of gradients are held beside the unit parts, as many rows or at least so many.
enum class Way { forward, back };
constexpr int64_t LEAST_TERMS = 512;  // of float16, which regions take, too

// How parts and images are cut into pieces of even size. Rows of similarities are whole multiples of 16 bytes.
struct Pieces {
  int64_t parts, images;  // of a piece
  int64_t terms;          // rows, of numbers like those of the regions
  int64_t step, regions;

  Pieces(const Tensor& all_parts, const Tensor& all_regions, int64_t workspace, Way way, bool whole_parts)
      : step(std::max<int64_t>(1, 16 / int64_t(all_regions.element_size()))), regions(all_regions.size(1)) {
    const int64_t bytes = all_regions.element_size(), row = all_regions.size(2) * bytes;
    const int64_t matrices = way == Way::back ? 2 : 1;
    const int64_t fit = std::max<int64_t>(step, workspace / 3 / (matrices * row) / step * step);
    parts = whole_parts ? all_parts.size(0) : piece(all_parts.size(0), fit, 1);
    terms = way == Way::forward ? 0 : std::max(padded(parts), is_half(all_regions) ? LEAST_TERMS : 0);
    const int64_t left = workspace - (padded(parts) + terms) * row;
    images = piece(std::max<int64_t>(1, all_regions.size(0)), left / (regions * padded(parts) * bytes), 1);
  }

  int64_t padded(int64_t count) const { return divide_up(count, step) * step; }
};

// Goes through all pieces: makes the unit parts of each, multiplies them with the images of each, and hands the product
// to what is to be done with it.
class Chunks {
 public:
  // similarities: those of all parts and images, where they are known.
  Chunks(const Tensor& parts, const Tensor& regions, int64_t workspace, Way way, bool whole_parts,
         const OptionalTensor& similarities = std::nullopt)
      : steps(steps_for(regions)),
        norms(torch::stable::new_empty(parts, {parts.size(0)})),
        parts_(parts),
        regions_(regions),
        pieces_(parts, regions, workspace, way, whole_parts),
        units_(torch::stable::new_empty(regions, {pieces_.padded(pieces_.parts), regions.size(2)})),
        products_(similarities ? *similarities : torch::stable::new_empty(regions, {piece_rows(), piece_pitch()})) {
    STD_TORCH_CHECK(!similarities || (is_one() && products_.size(0) == piece_rows() && products_.size(1) == piece_pitch()),
                    "part_similarity: these are not the similarities of all parts and regions");
  }

  // use(product, rows of regions, unit parts); without products nothing is known of what they would hold.
  template <class Use>
  void each(bool multiplies, const Use& use) {
    for (int64_t part = 0; part < parts_.size(0); part += pieces_.parts) {
      const int64_t count = std::min(pieces_.parts, parts_.size(0) - part), pitch = pieces_.padded(count);
      const Tensor units = rows_from(units_, 0, pitch), factor = transposed(units);
      steps.unit_parts(parts_, part, count, units, norms);
      for (int64_t image = 0; image < regions_.size(0); image += pieces_.images) {
        const int64_t images = std::min(pieces_.images, regions_.size(0) - image);
        const Tensor rows = rows_of(regions_, image, images);
        const Product product{matrix(products_, rows.size(0), pitch), image, images, pieces_.regions, part, count};
        if (multiplies) multiply(rows, factor, product.values);
        use(product, rows, units);
      }
    }
  }

  // Where terms of gradients go, some rows at a time.
  Tensor new_terms() const {
    if (!is_half(regions_)) return torch::stable::new_empty(regions_, {pieces_.terms, regions_.size(2)});
    return torch::stable::new_empty(regions_, {pieces_.padded(pieces_.terms / 2), regions_.size(2)}, ScalarType::Float);
  }

  // All similarities; there must be one piece.
  const Tensor& similarities() const {
    STD_TORCH_CHECK(is_one(), "part_similarity: all similarities do not fit in the workspace");
    return products_;
  }

  const Steps& steps;
  const Tensor norms;

 private:
  bool is_one() const {
    return pieces_.parts == parts_.size(0) && pieces_.images == std::max<int64_t>(1, regions_.size(0));
  }
  int64_t piece_rows() const { return pieces_.images * pieces_.regions; }
  int64_t piece_pitch() const { return pieces_.padded(pieces_.parts); }

  const Tensor &parts_, &regions_;
  const Pieces pieces_;
  const Tensor units_, products_;
};

// What a forward pass is to find, empty where there is no temperature.
Found nothing_yet(const Tensor& parts, const Tensor& regions, std::optional<double> temperature) {
  const int64_t images = regions.size(0), each = regions.size(1);
  const Tensor nothing = torch::stable::new_empty(parts, {0});
  Found found{torch::stable::new_empty(parts, {images, parts.size(0)}),
              torch::stable::new_empty(parts, {images, parts.size(0)}, ScalarType::Int),
              nothing,
              torch::stable::new_empty(parts, {0}),  // what is returned may not share memory
              nothing,
              std::nullopt};
  if (temperature) {
    found.entropy = torch::stable::new_empty(parts, {images, each});
    found.log_partition = torch::stable::new_empty(parts, {images, each});
    found.state = torch::stable::new_empty(parts, {images * each, 3});
    found.scale = 1 / *temperature;
  }
  return found;
}

// The gradient of unit parts, added up piece by piece: + G^T X of each product that has become G. That of regions, G W,
// which needs all parts in one piece.
class GradientSums {
 public:
  GradientSums(const Chunks& chunks, const Tensor& parts, const Tensor& regions)
      : of_parts(torch::stable::new_zeros(parts, {parts.size(0), parts.size(1)})),
        steps_(chunks.steps),
        terms_(chunks.new_terms()) {}

  void add(const Product& slope, const Tensor& rows) const {
    const Tensor by_part = transposed(slope.values);
    each_some(slope.parts, [&](int64_t part, int64_t count, const Tensor& terms) {
      multiply(rows_from(by_part, part, count), rows, terms);
      steps_.add(terms, rows_from(of_parts, slope.first_part + part, count));
    });
  }

  // out = G W, times `factor` where there is one.
  void of_regions(const Product& slope, const Tensor& units, const OptionalTensor& factor, const Tensor& out) const {
    if (!factor) return multiply(slope.values, units, out);
    each_some(out.size(0), [&](int64_t row, int64_t count, const Tensor& terms) {
      multiply(rows_from(slope.values, row, count), units, terms);
      call("aten::mul", "out", terms, *factor, rows_from(out, row, count));
    });
  }

  const Tensor of_parts;

 private:
  // use(first, count, terms) for as many rows at a time as the terms hold.
  template <class Use>
  void each_some(int64_t rows, const Use& use) const {
    for (int64_t first = 0; first < rows; first += terms_.size(0)) {
      const int64_t count = std::min(terms_.size(0), rows - first);
      use(first, count, rows_from(terms_, 0, count));
    }
  }

  const Steps& steps_;
  const Tensor terms_;
};

}  // namespace

Outputs chunked_forward(const Tensor& parts, const Tensor& regions, std::optional<double> temperature,
                        int64_t workspace) {
  check_inputs(parts, regions);
  Chunks chunks(parts, regions, workspace, Way::forward, false);
  const Found found = nothing_yet(parts, regions, temperature);
  chunks.each(true, [&](const Product& product, const Tensor&, const Tensor&) { chunks.steps.reduce(product, found); });
  return {found.scores, found.argmax, found.entropy, found.log_partition};
}

MoreOutputs chunked_forward_gradient(const Tensor& parts, const Tensor& regions, double temperature,
                                     int64_t workspace, double weight) {
  check_inputs(parts, regions);
  // The slopes of a region need its softmax over all parts, so that these are one piece.
  Chunks chunks(parts, regions, workspace, Way::back, true);
  const Found found = nothing_yet(parts, regions, temperature);
  const Tensor weights = torch::stable::full({regions.size(0), regions.size(1)}, weight, parts.scalar_type(),
                                             std::nullopt, parts.device());
  const Upstream upstream{std::nullopt, found.argmax, weights, found.entropy, found.log_partition, 1 / temperature};
  const GradientSums gradients(chunks, parts, regions);
  chunks.each(true, [&](const Product& product, const Tensor& rows, const Tensor&) {
    chunks.steps.reduce(product, found);
    chunks.steps.slope(product, upstream);
    gradients.add(product, rows);
  });
  chunks.steps.turn_parts(parts, chunks.norms, gradients.of_parts);
  return {found.scores, found.argmax, found.entropy, found.log_partition, gradients.of_parts};
}

MoreOutputs chunked_forward_keeping(const Tensor& parts, const Tensor& regions, double temperature,
                                    int64_t workspace) {
  check_inputs(parts, regions);
  Chunks chunks(parts, regions, workspace, Way::back, true);
  const Found found = nothing_yet(parts, regions, temperature);
  chunks.each(true, [&](const Product& product, const Tensor&, const Tensor&) { chunks.steps.reduce(product, found); });
  return {found.scores, found.argmax, found.entropy, found.log_partition, chunks.similarities()};
}

Gradients chunked_backward(const OptionalTensor& grad_scores, const OptionalTensor& grad_entropy, const Tensor& parts,
                           const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                           const Tensor& log_partition, double temperature, bool need_regions, int64_t workspace,
                           const OptionalTensor& similarities, const OptionalTensor& regions_factor) {
  check_inputs(parts, regions);
  check_argmax(grad_scores, parts, regions, argmax);
  if (grad_entropy) check_entropies(*grad_entropy, parts, regions, entropy, log_partition);
  STD_TORCH_CHECK(!similarities || (similarities->scalar_type() == regions.scalar_type() &&
                                    has_sizes(*similarities, {ANY, ANY}) && similarities->is_contiguous() &&
                                    on_one_device(*similarities, regions)),
                  "similarities: expected a contiguous matrix of the regions' dtype");
  // Gradients of regions add up over all parts; in pieces, each piece would be rounded.
  Chunks chunks(parts, regions, workspace, Way::back, need_regions || similarities, similarities);
  const Upstream upstream{grad_scores, argmax, grad_entropy, entropy, log_partition, 1 / temperature};
  const GradientSums gradients(chunks, parts, regions);
  const int64_t rows_in_all = regions.size(0) * regions.size(1);
  Tensor grad_regions = need_regions ? torch::stable::new_empty(regions, {rows_in_all, regions.size(2)})
                                     : torch::stable::new_empty(regions, {0});
  chunks.each(grad_entropy && !similarities, [&](const Product& product, const Tensor& rows, const Tensor& units) {
    chunks.steps.slope(product, upstream);
    gradients.add(product, rows);
    const int64_t first = product.first_image * product.regions;
    if (need_regions)
      gradients.of_regions(product, units, regions_factor, rows_from(grad_regions, first, rows.size(0)));
  });
  chunks.steps.turn_parts(parts, chunks.norms, gradients.of_parts);
  if (need_regions)
    grad_regions = torch::stable::view(grad_regions, {regions.size(0), regions.size(1), regions.size(2)});
  return {gradients.of_parts, grad_regions};
}

}  // namespace dpnet
