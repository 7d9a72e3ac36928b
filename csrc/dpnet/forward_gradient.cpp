// The forward pass with entropy of a training step on the CPU: it also gives the gradient of the parts through the
// sum of all entropies. The gradient is dense and needs every similarity; made here, while they are at hand, it saves
// the backward pass from computing all of them again. (As fused cross-entropies do: their loss, too, is a mean.)
//
// A group of regions at a time goes against all parts. Its similarities, at most GROUP_BYTES of them, are reduced,
// turned into slopes in place, and multiplied with the regions into the gradient; where the regions are multiplied in
// bfloat16, the slopes are, too.
#include "backward.h"
#include "blocks.h"
#include "operators.h"

namespace dpnet {
namespace {

constexpr int64_t GROUP_BYTES = 4 << 20;  // more saves packing the parts, less saves memory
constexpr int64_t KEPT_BYTES = 4 << 20;   // packed parts that are kept from group to group
constexpr int64_t FEW_ROWS = 64;          // of a group, whose softmax a thread computes in one go; an even number
constexpr int64_t COLUMNS = 96;           // in a strip of the gradient, which a thread computes in one go
constexpr int64_t STEPS = 256;            // regions in one product of the gradient

// T is what is accumulated, F what is multiplied into similarities.
template <class T, class F>
class ForwardGradient {
 public:
  ForwardGradient(const Tensor& parts, const Tensor& regions, double temperature, T* entropy, T* log_partition,
                  T* gradient)
      : loops_(loops<T>()),
        sizes_(sizes_of(parts, regions)),
        parts_(static_cast<const T*>(parts.const_data_ptr())),
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
        products_(capacity_ * padded_),
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
    torch::stable::parallel_for(0, sizes_.parts, 16, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        remove_radial(parts_ + part * sizes_.depth, sizes_.depth, gradient_ + part * sizes_.depth);
    });
  }

  void write_best(T* scores, int32_t* argmax) const {
    for (int64_t image = 0; image < sizes_.images; ++image)
      best_.write(image * padded_, sizes_.parts, scores + image * sizes_.parts, argmax + image * sizes_.parts);
  }

 private:
  using Element = typename Factor<F>::Element;
  static constexpr bool PAIRS = std::is_same_v<F, Pair>;

  // All parts in one block where so much is kept.
  static Blocks blocks(const Sizes& sizes, int64_t panel_size) {
    Blocks blocks(sizes, loops<T>().lanes, panel_size * sizeof(F));
    if (blocks.panels * panel_size * int64_t(sizeof(F)) <= KEPT_BYTES) blocks.block = blocks.panels;
    return blocks;
  }

  // Whole images where they fit.
  int64_t group_rows() const {
    const int64_t all = std::max<int64_t>(1, sizes_.images * sizes_.regions);
    const int64_t fit = std::max<int64_t>(FEW_ROWS, GROUP_BYTES / int64_t(padded_ * sizeof(T)));
    return std::min(all, fit < sizes_.regions ? fit : fit / sizes_.regions * sizes_.regions);
  }

  T* tile(int64_t panel, int64_t row) const {
    return products_.data() + (panel * capacity_ + row - start_) * loops_.lanes;
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
      if (start_ == 0 || blocks_.block < blocks_.panels) pack_panels(parts_, sizes_, first, count, packed_.data());
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

  // The softmax over the parts of each region of the group, and the entropy.
  void assign() {
    torch::stable::parallel_for(0, divide_up(stop_ - start_, FEW_ROWS), 1, [&](int64_t begin, int64_t end) {
      const int64_t first = start_ + begin * FEW_ROWS, last = std::min(start_ + end * FEW_ROWS, stop_);
      Partition<T>* softmax = softmax_.data() + first - start_;
      std::fill_n(softmax, last - first, empty_partition<T>());
      for (int64_t panel = 0; panel < blocks_.panels; ++panel) {
        const int64_t used = std::min(loops_.lanes, sizes_.parts - panel * loops_.lanes);
        loops_.update_partition(tile(panel, first), last - first, used, scale_, softmax);
      }
      for (int64_t row = first; row < last; ++row) {
        log_partition_[row] = log_partition_of(softmax[row - first]);
        entropy_[row] = entropy_of(softmax[row - first]);
        slopes_.data()[row - start_] = {log_partition_[row], entropy_[row], scale_};
      }
      for (int64_t panel = 0; panel < blocks_.panels; ++panel)
        loops_.entropy_slope(tile(panel, first), last - first, scale_, slopes_.data() + first - start_);
      if constexpr (PAIRS) pair_slopes(first, last);
    });
  }

  // Slopes as pairs of bfloat16, in place: each FEW_ROWS rows become half as many, at the same beginning.
  void pair_slopes(int64_t first, int64_t last) {
    const int64_t lanes = loops_.lanes;
    for (int64_t panel = 0; panel < blocks_.panels; ++panel)
      for (int64_t begin = first; begin < last; begin += FEW_ROWS) {
        T* slopes = tile(panel, begin);
        const int64_t rows = std::min(FEW_ROWS, last - begin);
        for (int64_t row = 0; row < rows; row += 2)
          for (int64_t lane = 0; lane < lanes; ++lane) {
            const T upper = slopes[row * lanes + lane], lower = row + 1 < rows ? slopes[(row + 1) * lanes + lane] : T(0);
            const Pair pair{{BFloat16(upper).x, BFloat16(lower).x}};
            std::memcpy(slopes + row / 2 * lanes + lane, &pair, sizeof(pair));
          }
      }
  }

  // The group's share of the gradient of the unit parts: a strip of its regions' columns, which stays in cache,
  // against the slopes of all parts, or of some where there are more threads than strips.
  void add_gradient() {
    const int64_t width = std::min(COLUMNS, sizes_.depth), strips = divide_up(sizes_.depth, width);
    const int64_t threads = torch::stable::get_num_threads();
    const int64_t splits = std::clamp<int64_t>(divide_up(threads, strips), 1, blocks_.panels);
    const int64_t rows = divide_up(stop_ - start_, 2) * 2;
    torch::stable::parallel_for(0, strips * splits, 1, [&](int64_t begin, int64_t end) {
      Scratch<Element> columns(width * rows), turned(PAIRS ? width * rows : 0);
      Scratch<T> sums(width * loops_.lanes);
      for (int64_t task = begin; task < end; ++task) {
        const int64_t start = task / splits * width, stop = std::min(start + width, sizes_.depth);
        const auto [from, to] = share_of(blocks_.panels, task % splits, splits);
        copy_columns(start, stop, columns.data());
        if constexpr (PAIRS) turn(columns.data(), stop - start, rows, turned.data());
        for (int64_t panel = from; panel < to; ++panel) {
          if constexpr (PAIRS)
            multiply_slopes(panel, stop - start, reinterpret_cast<const Pair*>(turned.data()), sums.data());
          else
            multiply_slopes(panel, stop - start, columns.data(), sums.data());
          add_panel(panel, start, stop, sums.data());
        }
      }
    });
  }

  void copy_columns(int64_t start, int64_t stop, Element* columns) const {
    for (int64_t image = start_ / sizes_.regions; image * sizes_.regions < stop_; ++image)
      pieces(image, sizes_.regions, [&](int64_t region, int64_t row, int64_t rows) {
        factors_.copy_columns(image, region, rows, start, stop, columns + (row - start_) * (stop - start));
      });
  }

  // From [regions][columns] to [columns][rows], so that two regions make a pair; an odd last one is paired with 0.
  void turn(const Element* columns, int64_t width, int64_t rows, Element* turned) const {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t k = 0; k < width; ++k)
        turned[k * rows + row] = row < stop_ - start_ ? columns[row * width + k] : Element(0);
  }

  // Sums of slope times column, [columns][lanes], in short steps for less rounding.
  void multiply_slopes(int64_t panel, int64_t width, const T* columns, T* sums) const {
    for (int64_t row = 0; row < stop_ - start_; row += STEPS)
      loops_.multiply(tile(panel, start_ + row), loops_.lanes, columns + row * width, {1, width}, width,
                      std::min(STEPS, stop_ - start_ - row), sums, loops_.lanes, row > 0);
  }

  void multiply_slopes(int64_t panel, int64_t width, const Pair* columns, float* sums) const {
    const int64_t rows = stop_ - start_;
    for (int64_t row = 0; row < rows; row += FEW_ROWS)
      pair_loops()->multiply(reinterpret_cast<const Pair*>(tile(panel, start_ + row)), columns + row / 2,
                             divide_up(rows, 2), width, divide_up(std::min(FEW_ROWS, rows - row), 2), sums, row > 0);
  }

  void add_panel(int64_t panel, int64_t start, int64_t stop, const T* sums) {
    const int64_t lanes = loops_.lanes, count = std::min(lanes, sizes_.parts - panel * lanes);
    for (int64_t lane = 0; lane < count; ++lane) {
      T* gradient = gradient_ + (panel * lanes + lane) * sizes_.depth;
      for (int64_t k = start; k < stop; ++k) gradient[k] += sums[(k - start) * lanes + lane];
    }
  }

  const Loops<T>& loops_;
  const Sizes sizes_;
  const T* parts_;
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
  Scratch<T> products_;     // [panels][rows of a group][lanes]
  Scratch<Partition<T>> softmax_;
  Scratch<EntropyRow<T>> slopes_;
  int64_t start_ = 0, stop_ = 0;  // the group, in rows of all images
};

template <class T, class F>
GradientOutputs run(const Tensor& parts, const Tensor& regions, double temperature) {
  const Sizes sizes = sizes_of(parts, regions);
  Tensor scores = torch::stable::new_empty(parts, {sizes.images, sizes.parts});
  Tensor argmax = torch::stable::new_empty(parts, {sizes.images, sizes.parts}, ScalarType::Int);
  Tensor entropy = torch::stable::new_empty(parts, {sizes.images, sizes.regions});
  Tensor log_partition = torch::stable::new_empty(parts, {sizes.images, sizes.regions});
  Tensor gradient = torch::stable::new_zeros(parts, {sizes.parts, sizes.depth});
  ForwardGradient<T, F> forward(parts, regions, temperature, static_cast<T*>(entropy.mutable_data_ptr()),
                                static_cast<T*>(log_partition.mutable_data_ptr()),
                                static_cast<T*>(gradient.mutable_data_ptr()));
  forward.run();
  forward.write_best(static_cast<T*>(scores.mutable_data_ptr()), static_cast<int32_t*>(argmax.mutable_data_ptr()));
  return {scores, argmax, entropy, log_partition, gradient};
}

}  // namespace

GradientOutputs forward_gradient_cpu(const Tensor& parts, const Tensor& regions, double temperature) {
  if (parts.scalar_type() == ScalarType::Double) return run<double, double>(parts, regions, temperature);
  if (multiplies_pairs(regions)) return run<float, Pair>(parts, regions, temperature);
  return run<float, float>(parts, regions, temperature);
}

}  // namespace dpnet
