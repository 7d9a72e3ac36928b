// Scores, argmax and entropy on the CPU: a block of unit parts is packed once, then every thread goes through
// its images, a tile of similarities at a time. The tile is reduced while it is in cache, and never stored.
#include <limits>
#include <vector>

#include "operators.h"
#include "panels.h"

namespace dpnet {
namespace {

// T is what is accumulated, F what is multiplied.
template <class T, class F>
class Forward {
 public:
  Forward(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, T* scores,
          int32_t* argmax)
      : loops_(loops<T>()),
        sizes_(sizes_of(parts, regions)),
        parts_(static_cast<const T*>(parts.const_data_ptr())),
        regions_(regions),
        scale_(temperature ? T(1 / *temperature) : T(0)),
        scores_(scores),
        argmax_(argmax),
        depth_(factors<F>(sizes_.depth)),
        chunk_(chunk_rows<F>(sizes_)) {
    const int64_t fit = BLOCK_BYTES / int64_t(loops_.lanes * depth_ * sizeof(F));
    panels_ = divide_up(sizes_.parts, loops_.lanes);
    block_ = std::clamp<int64_t>(fit, 1, panels_);
    const int64_t threads = torch::stable::get_num_threads();
    splits_ = std::clamp<int64_t>(threads == 1 ? 1 : 2 * threads / std::max<int64_t>(sizes_.images, 1), 1, block_);
    if (temperature) partitions_.resize(splits_ * sizes_.images * sizes_.regions, empty());
  }

  void run() {
    Scratch<F> block(block_ * loops_.lanes * depth_);
    for (int64_t first = 0; first < panels_; first += block_) {
      const int64_t count = std::min(block_, panels_ - first);
      torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          pack_panel(parts_, sizes_, (first + i) * loops_.lanes, loops_.lanes, panel(block, i));
      });
      torch::stable::parallel_for(0, sizes_.images * splits_, 1, [&](int64_t begin, int64_t end) {
        Scratch<T> tile(chunk_ * loops_.lanes);
        Scratch<F> rows(regions_.buffer_size(chunk_));
        Best best(count * loops_.lanes);
        for (int64_t task = begin; task < end; ++task)
          image(block, first, count, task / splits_, task % splits_, tile.data(), rows.data(), best);
      });
    }
  }

  void finish(T* entropy, T* log_partition) {
    const int64_t rows = sizes_.images * sizes_.regions;
    for (int64_t row = 0; row < rows; ++row) {
      Partition<T> total = empty();
      for (int64_t split = 0; split < splits_; ++split) merge(total, partitions_[split * rows + row]);
      log_partition[row] = total.peak + std::log(total.mass);
      entropy[row] = std::log(total.mass) - total.moment / total.mass;
    }
  }

 private:
  struct Best {
    explicit Best(int64_t count) : value(count), index(count) {}
    Scratch<T> value;
    Scratch<int32_t> index;
  };

  static Partition<T> empty() { return {-std::numeric_limits<T>::infinity(), 0, 0}; }

  F* panel(const Scratch<F>& block, int64_t i) const { return block.data() + i * loops_.lanes * depth_; }

  // The panels of one split of the block, against one image.
  void image(const Scratch<F>& block, int64_t first, int64_t count, int64_t image, int64_t split, T* tile,
             F* buffer, Best& best) {
    const int64_t lanes = loops_.lanes, begin = count * split / splits_, end = count * (split + 1) / splits_;
    std::fill_n(best.value.data(), count * lanes, -std::numeric_limits<T>::infinity());
    std::fill_n(best.index.data(), count * lanes, 0);
    for (int64_t row = 0; row < sizes_.regions; row += chunk_) {
      const int64_t rows = std::min(chunk_, sizes_.regions - row);
      const RowView<F> view = regions_.get(image, row, rows, buffer);
      for (int64_t i = begin; i < end; ++i) {
        similarities(panel(block, i), view, rows, sizes_.depth, tile);
        loops_.update_best(tile, rows, row, best.value.data() + i * lanes, best.index.data() + i * lanes);
        if (partitions_.empty()) continue;
        const int64_t slot = (split * sizes_.images + image) * sizes_.regions + row;
        const int64_t used = std::min(lanes, sizes_.parts - (first + i) * lanes);
        loops_.update_partition(tile, rows, used, scale_, partitions_.data() + slot);
      }
    }
    write(image, (first + begin) * lanes, (first + end) * lanes, best, begin * lanes);
  }

  void write(int64_t image, int64_t first_part, int64_t end_part, const Best& best, int64_t offset) {
    const int64_t count = std::min(end_part, sizes_.parts) - first_part;
    std::copy_n(best.value.data() + offset, count, scores_ + image * sizes_.parts + first_part);
    std::copy_n(best.index.data() + offset, count, argmax_ + image * sizes_.parts + first_part);
  }

  static void merge(Partition<T>& total, const Partition<T>& other) {
    if (other.mass == 0) return;
    const T peak = std::max(total.peak, other.peak);
    const auto moved = [peak](const Partition<T>& p) {
      const T shift = p.peak - peak, factor = p.mass == 0 ? T(0) : std::exp(shift);
      return Partition<T>{peak, p.mass * factor, p.mass == 0 ? T(0) : (p.moment + p.mass * shift) * factor};
    };
    const Partition<T> a = moved(total), b = moved(other);
    total = {peak, a.mass + b.mass, a.moment + b.moment};
  }

  const Loops<T>& loops_;
  const Sizes sizes_;
  const T* parts_;
  const RegionRows<F> regions_;
  const T scale_;
  T* scores_;
  int32_t* argmax_;
  const int64_t depth_;  // in factors
  const int64_t chunk_;
  int64_t panels_, block_, splits_;
  std::vector<Partition<T>> partitions_;
};

template <class T, class F>
Outputs run(const Tensor& parts, const Tensor& regions, std::optional<double> temperature) {
  const Sizes sizes = sizes_of(parts, regions);
  Tensor scores = torch::stable::new_empty(parts, {sizes.images, sizes.parts});
  Tensor argmax = torch::stable::new_empty(parts, {sizes.images, sizes.parts}, ScalarType::Int);
  const std::vector<int64_t> shape = temperature ? std::vector<int64_t>{sizes.images, sizes.regions}
                                                 : std::vector<int64_t>{0};
  Tensor entropy = torch::stable::new_empty(parts, shape);
  Tensor log_partition = torch::stable::new_empty(parts, shape);
  Forward<T, F> forward(parts, regions, temperature, static_cast<T*>(scores.mutable_data_ptr()),
                     static_cast<int32_t*>(argmax.mutable_data_ptr()));
  forward.run();
  if (temperature)
    forward.finish(static_cast<T*>(entropy.mutable_data_ptr()),
                   static_cast<T*>(log_partition.mutable_data_ptr()));
  return {scores, argmax, entropy, log_partition};
}

}  // namespace

Outputs forward_cpu(const Tensor& parts, const Tensor& regions, std::optional<double> temperature, bool) {
  if (parts.scalar_type() == ScalarType::Double) return run<double, double>(parts, regions, temperature);
  if (multiplies_pairs(regions)) return run<float, Pair>(parts, regions, temperature);
  return run<float, float>(parts, regions, temperature);
}

}  // namespace dpnet
