// Scores, argmax and entropy, and their gradients, from products of PyTorch on some images and parts at a time, which
// are reduced while they are in the last level of cache. On CPU and CUDA; best where the product is most of the time.
//
// `workspace` bytes bound what is held: up to a third of it is unit parts, and on the way back what is added to their
// gradient; the rest is similarities.
#include <algorithm>

#include "../operations.h"
#include "products.h"
#include "steps.h"

namespace dpnet {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

const Steps& steps_for(const Tensor& tensor) {
#ifdef DPNET_WITH_CUDA
  if (tensor.is_cuda()) return steps_on_cuda;
#endif
  STD_TORCH_CHECK(tensor.is_cpu(), "part_similarity: no steps for this device");
  return steps_on_cpu;
}

// How parts and images are cut into pieces of even size. Rows of similarities are whole multiples of 16 bytes.
struct Pieces {
  int64_t parts, images;  // of a piece
  int64_t step, regions;

  // `matrices` of unit parts and their like are held.
  Pieces(const Tensor& all_parts, const Tensor& all_regions, int64_t workspace, int64_t matrices, bool whole_parts)
      : step(std::max<int64_t>(1, 16 / int64_t(all_regions.element_size()))), regions(all_regions.size(1)) {
    const int64_t bytes = all_regions.element_size(), row = matrices * all_regions.size(2) * bytes;
    const int64_t fit = std::max<int64_t>(step, workspace / 3 / row / step * step);
    parts = whole_parts ? all_parts.size(0) : even(all_parts.size(0), fit);
    const int64_t left = workspace - padded(parts) * row;
    images = even(all_regions.size(0), std::max<int64_t>(1, left / (regions * padded(parts) * bytes)));
  }

  int64_t padded(int64_t count) const { return divide_up(count, step) * step; }

  // Pieces of at most `fit`, as many as that takes.
  static int64_t even(int64_t count, int64_t fit) {
    return count <= fit ? std::max<int64_t>(count, 1) : divide_up(count, divide_up(count, fit));
  }
};

// Goes through all pieces: makes the unit parts of each, multiplies them with the images of each, and hands the product
// to what is to be done with it.
class Chunks {
 public:
  Chunks(const Tensor& parts, const Tensor& regions, int64_t workspace, int64_t matrices, bool whole_parts)
      : steps(steps_for(regions)),
        norms(torch::stable::new_empty(parts, {parts.size(0)})),
        parts_(parts),
        regions_(regions),
        pieces_(parts, regions, workspace, matrices, whole_parts),
        units_(torch::stable::new_empty(regions, {pieces_.padded(pieces_.parts), regions.size(2)})),
        products_(
            torch::stable::new_empty(regions, {pieces_.images * pieces_.regions, pieces_.padded(pieces_.parts)})) {}

  // use(product, rows of regions, unit parts), after begin(first part, count) for each piece of parts.
  template <class Begin, class Use>
  void each(bool multiplies, const Begin& begin, const Use& use) {
    for (int64_t part = 0; part < parts_.size(0); part += pieces_.parts) {
      const int64_t count = std::min(pieces_.parts, parts_.size(0) - part), pitch = pieces_.padded(count);
      const Tensor units = rows_from(units_, 0, pitch), factor = transposed(units);
      steps.unit_parts(parts_, part, count, units, norms);
      begin(part, count);
      for (int64_t image = 0; image < regions_.size(0); image += pieces_.images) {
        const int64_t images = std::min(pieces_.images, regions_.size(0) - image);
        const Tensor rows = rows_of(regions_, image, images);
        const Product product{matrix(products_, rows.size(0), pitch), image, images, pieces_.regions, part, count};
        if (multiplies) multiply(rows, factor, product.values);
        use(product, rows, units);
      }
    }
  }

  int64_t largest_piece() const { return pieces_.parts; }

  const Steps& steps;
  const Tensor norms;

 private:
  const Tensor &parts_, &regions_;
  const Pieces pieces_;
  const Tensor units_, products_;
};

}  // namespace

Outputs chunked_forward(const Tensor& parts, const Tensor& regions, std::optional<double> temperature,
                        int64_t workspace) {
  const int64_t images = regions.size(0), each = regions.size(1);
  Chunks chunks(parts, regions, workspace, 1, false);
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
  chunks.each(
      true, [](int64_t, int64_t) {},
      [&](const Product& product, const Tensor&, const Tensor&) { chunks.steps.reduce(product, found); });
  return {found.scores, found.argmax, found.entropy, found.log_partition};
}

Gradients chunked_backward(const OptionalTensor& grad_scores, const OptionalTensor& grad_entropy, const Tensor& parts,
                           const Tensor& regions, const Tensor& argmax, const Tensor& entropy,
                           const Tensor& log_partition, double temperature, bool need_regions, int64_t workspace) {
  // Gradients of regions add up over all parts; in pieces, each piece would be rounded.
  Chunks chunks(parts, regions, workspace, 2, need_regions);
  const Upstream upstream{grad_scores, argmax, grad_entropy, entropy, log_partition, 1 / temperature};
  Tensor grad_parts = torch::stable::new_zeros(parts, {parts.size(0), parts.size(1)});
  Tensor grad_regions = need_regions
                            ? torch::stable::new_empty(regions, {regions.size(0) * regions.size(1), regions.size(2)})
                            : torch::stable::new_empty(regions, {0});
  const Tensor buffer = torch::stable::new_empty(regions, {chunks.largest_piece(), regions.size(2)});
  Tensor sums = grad_parts, terms = buffer;  // of this piece of parts
  const auto begin = [&](int64_t part, int64_t count) {
    sums = rows_from(grad_parts, part, count);
    terms = rows_from(buffer, 0, count);
  };
  chunks.each(grad_entropy.has_value(), begin, [&](const Product& product, const Tensor& rows, const Tensor& units) {
    chunks.steps.slope(product, upstream);
    const Tensor all = transposed(product.values), used = rows_from(all, 0, product.parts);
    multiply(used, rows, terms);
    chunks.steps.add(terms, sums);
    if (!need_regions) return;
    const int64_t first = product.first_image * product.regions;
    multiply(product.values, units, rows_from(grad_regions, first, rows.size(0)));
  });
  chunks.steps.turn_parts(parts, chunks.norms, grad_parts);
  if (need_regions)
    grad_regions = torch::stable::view(grad_regions, {regions.size(0), regions.size(1), regions.size(2)});
  return {grad_parts, grad_regions};
}

}  // namespace dpnet
