// Scores, argmax, entropies H_r, and the parts' gradient of sum_r H_r: dW_p = -sum_r pi_rp (log pi_rp + H_r) x_r / t.
// The forward pass with entropy of a training step, any shape, where only the parts want a gradient. The gradient is
// dense and needs every similarity; made here, while they are at hand, it saves the backward pass from computing all of
// them again. (As fused cross-entropies do: their loss, too, is a mean.)
//
// A group of regions at a time goes against all parts. Its similarities, at most GROUP_BYTES of them, are reduced,
// turned into slopes in place, and multiplied with the regions into the gradient, as pairs where the similarities were.
#include "backward.h"
#include "blocks.h"
#include "../inputs.h"
#include "../operations.h"
#include "slope_product.h"

namespace dpnet {
namespace {

constexpr int64_t GROUP_BYTES = 21 << 18;  // more saves packing the parts, less saves memory
constexpr int64_t KEPT_BYTES = 4 << 20;   // packed parts that are kept from group to group
constexpr int64_t COLUMNS = 96;           // of the regions, which a thread multiplies in one go

// T is what is accumulated, F what is multiplied into similarities, and slopes with regions.
template <class T, class F>
class ForwardGradient {
 public:
  // gradient: [parts rounded up to whole panels][depth], zeros.
  ForwardGradient(const Tensor& parts, const Tensor& regions, double temperature, T* entropy, T* log_partition,
                  T* gradient)
      : loops_(loops<T>()),
        sizes_(sizes_of(parts, regions)),
        parts_(read<T>(parts), sizes_),
        factors_(regions),
        scale_(T(1 / temperature)),
        entropy_(entropy),
        log_partition_(log_partition),
        gradient_(gradient),
        panel_size_(loops_.lanes * factors<F>(sizes_.depth)),
        blocks_(blocks(sizes_, panel_size_)),
        padded_(blocks_.panels * loops_.lanes),
        capacity_(group_rows()),
        packed_(blocks_.block * panel_size_),
        best_(sizes_.images * padded_),
        products_((capacity_ + 1) * padded_),
        softmax_(capacity_),
        slopes_(capacity_) {
    best_.clear(sizes_.images * padded_);
  }

  void run() {
    const int64_t rows = sizes_.images * sizes_.regions;
    for (start_ = 0; start_ < rows; start_ += capacity_) {
      stop_ = std::min(start_ + capacity_, rows);
      multiply();
      assign();
      add_gradient();
    }
    finish_gradient();
  }

  void write_best(T* scores, int32_t* argmax) const {
    for (int64_t image = 0; image < sizes_.images; ++image)
      best_.write(image * padded_, sizes_.parts, scores + image * sizes_.parts, argmax + image * sizes_.parts);
  }

 private:
  // All parts in one block where so much is kept.
  static Blocks blocks(const Sizes& sizes, int64_t panel_size) {
    Blocks blocks(sizes, loops<T>().lanes, panel_size * sizeof(F));
    if (blocks.panels * panel_size * int64_t(sizeof(F)) <= KEPT_BYTES) blocks.block = blocks.panels;
    return blocks;
  }

  // As few groups as there can be, as even as they can be; of whole images where they fit.
  int64_t group_rows() const {
    const int64_t all = std::max<int64_t>(1, sizes_.images * sizes_.regions);
    const int64_t fit = std::max<int64_t>(SLOPE_RUN, GROUP_BYTES / int64_t(padded_ * sizeof(T)));
    if (fit < sizes_.regions) return divide_up(all, divide_up(all, fit));
    const int64_t images = fit / sizes_.regions;
    return divide_up(sizes_.images, std::max<int64_t>(1, divide_up(sizes_.images, images))) * sizes_.regions;
  }

  T* tile(int64_t panel, int64_t row) const {
    return products_.data() + (panel * (capacity_ + 1) + row - start_) * loops_.lanes;
  }

  // Call visit(first region, row, rows) for pieces of at most `chunk` of an image's rows in this group.
  template <class Visit>
  void pieces(int64_t image, int64_t chunk, Visit visit) const {
    const int64_t origin = image * sizes_.regions, stop = std::min(stop_, origin + sizes_.regions);
    for (int64_t row = std::max(start_, origin); row < stop; row += chunk)
      visit(row - origin, row, std::min(chunk, stop - row));
  }

  // All similarities of the group, and the best region of each part.
  void multiply() {
    const int64_t first_image = start_ / sizes_.regions;
    const int64_t images = divide_up(stop_, sizes_.regions) - first_image;
    for (int64_t first = 0; first < blocks_.panels; first += blocks_.block) {
      const int64_t count = blocks_.count(first);
      // A block that holds all parts stays packed from group to group.
      if (start_ == 0 || blocks_.block < blocks_.panels) pack_panels(parts_, first, count, packed_.data());
      const int64_t splits = images < torch::stable::get_num_threads() ? count : 1;
      torch::stable::parallel_for(0, images * splits, 1, [&](int64_t begin, int64_t end) {
        Scratch<F> buffer(factors_.buffer_size(chunk_rows<F>(sizes_)));
        for (int64_t task = begin; task < end; ++task) {
          const auto [from, to] = share_of(count, task % splits, splits);
          multiply_image(first_image + task / splits, first, from, to, buffer.data());
        }
      });
    }
  }

  void multiply_image(int64_t image, int64_t first, int64_t from, int64_t to, F* buffer) {
    pieces(image, chunk_rows<F>(sizes_), [&](int64_t region, int64_t row, int64_t rows) {
      const RowView<F> view = factors_.get(image, region, rows, buffer);
      for (int64_t i = from; i < to; ++i) {
        T* products = tile(first + i, row);
        similarities(packed_.data() + i * panel_size_, view, rows, sizes_.depth, products);
        const int64_t at = image * padded_ + (first + i) * loops_.lanes;
        loops_.update_best(products, rows, region, best_.value.data() + at, best_.index.data() + at);
      }
    });
  }

  // The softmax over the parts of each region of the group, the entropy, and its slopes, a run of regions at a time.
  void assign() {
    torch::stable::parallel_for(0, divide_up(stop_ - start_, SLOPE_RUN), 1, [&](int64_t begin, int64_t end) {
      for (int64_t run = begin; run < end; ++run) {
        const int64_t first = start_ + run * SLOPE_RUN;
        assign_run(first, std::min(SLOPE_RUN, stop_ - first));
      }
    });
  }

  void assign_run(int64_t first, int64_t rows) {
    Partition<T>* softmax = softmax_.data() + first - start_;
    EntropyRow<T>* slopes = slopes_.data() + first - start_;
    std::fill_n(softmax, rows, empty_partition<T>());
    for (int64_t panel = 0; panel < blocks_.panels; ++panel) {
      const int64_t used = std::min(loops_.lanes, sizes_.parts - panel * loops_.lanes);
      loops_.update_partition(tile(panel, first), rows, used, scale_, softmax);
    }
    for (int64_t r = 0; r < rows; ++r) {
      log_partition_[first + r] = log_partition_of(softmax[r]);
      entropy_[first + r] = entropy_of(softmax[r]);
      slopes[r] = {log_partition_[first + r], entropy_[first + r], scale_};
    }
    for (int64_t panel = 0; panel < blocks_.panels; ++panel) {
      loops_.entropy_slope(tile(panel, first), rows, scale_, slopes);
      pack_slopes<F>(tile(panel, first), rows);
    }
  }

  // The group's share of the gradient of the unit parts: a strip of its regions' columns, which stays in cache,
  // against the slopes of all parts, or of some where there are more threads than strips. The sums go to the panel of
  // the gradient, [depth][lanes], which lies where its parts' rows will be.
  void add_gradient() {
    const int64_t width = std::min(COLUMNS, sizes_.depth), strips = divide_up(sizes_.depth, width);
    const int64_t threads = torch::stable::get_num_threads();
    const int64_t splits = std::clamp<int64_t>(divide_up(threads, strips), 1, blocks_.panels);
    torch::stable::parallel_for(0, strips * splits, 1, [&](int64_t begin, int64_t end) {
      RegionColumns<F, T> columns(width, stop_ - start_);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t start = task / splits * width, stop = std::min(start + width, sizes_.depth);
        const auto [from, to] = share_of(blocks_.panels, task % splits, splits);
        copy_columns(start, stop, columns.values());
        columns.pack(stop - start, stop_ - start_);
        for (int64_t panel = from; panel < to; ++panel)
          for (int64_t row = start_; row < stop_; row += SLOPE_RUN)
            columns.add_product(tile(panel, row), row - start_, std::min(SLOPE_RUN, stop_ - row),
                                gradient_panel(panel) + start * loops_.lanes);
      }
    });
  }

  void copy_columns(int64_t start, int64_t stop, T* columns) const {
    for (int64_t image = start_ / sizes_.regions; image * sizes_.regions < stop_; ++image)
      pieces(image, sizes_.regions, [&](int64_t region, int64_t row, int64_t rows) {
        factors_.copy_columns(image, region, rows, start, stop, columns + (row - start_) * (stop - start));
      });
  }

  T* gradient_panel(int64_t panel) const { return gradient_ + panel * loops_.lanes * sizes_.depth; }

  // From panels to rows, and from the gradient of unit parts to that of the parts.
  void finish_gradient() {
    const int64_t lanes = loops_.lanes, depth = sizes_.depth;
    torch::stable::parallel_for(0, blocks_.panels, 1, [&](int64_t begin, int64_t end) {
      Scratch<T> rows(lanes * depth);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int64_t count = std::min(lanes, sizes_.parts - panel * lanes);
        turn_panel(parts_.data, sizes_, gradient_panel(panel), panel * lanes, rows.data());
        std::copy_n(rows.data(), count * depth, gradient_panel(panel));
      }
    });
  }

  const Loops<T>& loops_;
  const Sizes sizes_;
  const UnitParts<T> parts_;
  const RegionRows<F> factors_;
  const T scale_;
  T* entropy_;
  T* log_partition_;
  T* gradient_;
  const int64_t panel_size_;  // in factors
  const Blocks blocks_;
  const int64_t padded_;    // parts, rounded up to whole panels
  const int64_t capacity_;  // rows of a group
  Scratch<F> packed_;       // [panels of a block][factors][lanes]
  Best<T> best_;            // [images][padded parts]
  Scratch<T> products_;     // [panels][rows of a group, and one more][lanes]
  Scratch<Partition<T>> softmax_;
  Scratch<EntropyRow<T>> slopes_;
  int64_t start_ = 0, stop_ = 0;  // the group, in rows of all images
};

template <class T, class F>
MoreOutputs run(const Tensor& parts, const Tensor& regions, double temperature) {
  const Sizes sizes = sizes_of(parts, regions);
  Tensor scores = torch::stable::new_empty(parts, {sizes.images, sizes.parts});
  Tensor argmax = torch::stable::new_empty(parts, {sizes.images, sizes.parts}, ScalarType::Int);
  Tensor entropy = torch::stable::new_empty(parts, {sizes.images, sizes.regions});
  Tensor log_partition = torch::stable::new_empty(parts, {sizes.images, sizes.regions});
  const int64_t lanes = loops<T>().lanes;
  Tensor gradient = torch::stable::new_zeros(parts, {divide_up(sizes.parts, lanes) * lanes, sizes.depth});
  ForwardGradient<T, F> forward(parts, regions, temperature, write<T>(entropy),
                                write<T>(log_partition),
                                write<T>(gradient));
  forward.run();
  forward.write_best(write<T>(scores), write<int32_t>(argmax));
  return {scores, argmax, entropy, log_partition, torch::stable::narrow(gradient, 0, 0, sizes.parts)};
}

}  // namespace

MoreOutputs forward_gradient_cpu(const Tensor& parts, const Tensor& regions, double temperature, bool tf32) {
  check_inputs(parts, regions);
  if (parts.scalar_type() == ScalarType::Double) return run<double, double>(parts, regions, temperature);
  if (multiplies_whole(regions, tf32)) {
    const MoreOutputs found = run<float, WholePair>(parts, regions, temperature);
    if (!holds_nan(std::get<0>(found))) return found;
  }
  return run<float, float>(parts, regions, temperature);
}

}  // namespace dpnet
