// Scores max_r S_rp, argmax and entropy H_r of softmax_p(S_rp / t) on the CPU; S = X W^T is never stored.
// Every shape, unless `screened_forward.cpp` or `forward_gradient.cpp` is chosen.
// A block of unit parts is packed once, then every thread goes through its images; the tile is reduced while it is in
// cache. Beside an entropy, pairs of whole numbers cost half as much where they are exact enough.
#include <vector>

#include "blocks.h"
#include "../operations.h"
#include "panels.h"
#include "screened_forward.h"

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
        parts_(read<T>(parts), sizes_),
        regions_(regions),
        scale_(temperature ? T(1 / *temperature) : T(0)),
        scores_(scores),
        argmax_(argmax),
        depth_(factors<F>(sizes_.depth)),
        chunk_(chunk_rows<F>(sizes_)),
        blocks_(sizes_, loops_.lanes, loops_.lanes * depth_ * sizeof(F)) {
    if (temperature) partitions_.resize(blocks_.splits * sizes_.images * sizes_.regions, empty_partition<T>());
  }

  void run() {
    const int64_t splits = blocks_.splits;
    Scratch<F> block(blocks_.block * loops_.lanes * depth_);
    for (int64_t first = 0; first < blocks_.panels; first += blocks_.block) {
      const int64_t count = blocks_.count(first);
      pack_panels(parts_, first, count, block.data());
      torch::stable::parallel_for(0, sizes_.images * splits, 1, [&](int64_t begin, int64_t end) {
        Scratch<T> tile(chunk_ * loops_.lanes);
        Scratch<F> rows(regions_.buffer_size(chunk_));
        Best<T> best(count * loops_.lanes);
        for (int64_t task = begin; task < end; ++task)
          image(block, first, count, task / splits, task % splits, tile.data(), rows.data(), best);
      });
    }
  }

  void finish(T* entropy, T* log_partition) {
    const int64_t rows = sizes_.images * sizes_.regions;
    for (int64_t row = 0; row < rows; ++row) {
      Partition<T> total = empty_partition<T>();
      for (int64_t split = 0; split < blocks_.splits; ++split) merge(total, partitions_[split * rows + row]);
      log_partition[row] = log_partition_of(total);
      entropy[row] = entropy_of(total);
    }
  }

 private:
  F* panel(const Scratch<F>& block, int64_t i) const { return block.data() + i * loops_.lanes * depth_; }

  // The panels of one split of the block, against one image.
  void image(const Scratch<F>& block, int64_t first, int64_t count, int64_t image, int64_t split, T* tile,
             F* buffer, Best<T>& best) {
    const int64_t lanes = loops_.lanes;
    const auto [begin, end] = blocks_.span(count, split);
    best.clear(count * lanes);
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
    const int64_t part = (first + begin) * lanes, to = image * sizes_.parts + part;
    const int64_t found = std::min((end - begin) * lanes, sizes_.parts - part);
    best.write(begin * lanes, found, scores_ + to, argmax_ + to);
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
  const UnitParts<T> parts_;
  const RegionRows<F> regions_;
  const T scale_;
  T* scores_;
  int32_t* argmax_;
  const int64_t depth_;  // in factors
  const int64_t chunk_;
  const Blocks blocks_;
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
  Forward<T, F> forward(parts, regions, temperature, write<T>(scores),
                     write<int32_t>(argmax));
  forward.run();
  if (temperature)
    forward.finish(write<T>(entropy),
                   write<T>(log_partition));
  return {scores, argmax, entropy, log_partition};
}

}  // namespace

Outputs forward_cpu(const Tensor& parts, const Tensor& regions, std::optional<double> temperature,
                    bool tf32) {
  if (parts.scalar_type() == ScalarType::Double) return run<double, double>(parts, regions, temperature);
  if (!temperature && screens(regions)) return screened_forward(parts, regions);
  if (temperature && multiplies_whole(regions, tf32)) {
    const Outputs found = run<float, WholePair>(parts, regions, temperature);
    if (!holds_nan(std::get<0>(found))) return found;
  }
  return run<float, float>(parts, regions, temperature);
}

}  // namespace dpnet
