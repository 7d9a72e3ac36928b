// Scores max_r S_rp, argmax and entropy H_r of softmax_p(S_rp / t) on the CPU; S = X W^T is never stored.
// Every shape, unless `screened_forward.cpp` or `forward_gradient.cpp` is chosen.
// A block of unit parts is packed once, then every thread goes through its images; the tile is reduced while it is in
// cache. Beside an entropy, pairs of whole numbers cost half as much where they are exact enough.
#include <vector>

#include "blocks.h"
#include "../inputs.h"
#include "../operations.h"
#include "panels.h"
#include "screened_forward.h"

namespace dpnet {
namespace {

constexpr int64_t SHARED_ROWS = 12;  // of an image, for one of several threads

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
        blocks_(sizes_, loops_.lanes, loops_.lanes * depth_ * sizeof(F)),
        splits_(splits_of(sizes_, divide_up(sizes_.regions, SHARED_ROWS))),
        others_((splits_ - 1) * sizes_.images * sizes_.parts) {
    if (temperature) partitions_.resize(sizes_.images * sizes_.regions, empty_partition<T>());
  }

  void run() {
    Scratch<F> block(blocks_.block * loops_.lanes * depth_);
    for (int64_t first = 0; first < blocks_.panels; first += blocks_.block) {
      const int64_t count = blocks_.count(first);
      pack_panels(parts_, first, count, block.data());
      torch::stable::parallel_for(0, sizes_.images * splits_, 1, [&](int64_t begin, int64_t end) {
        Scratch<T> tile(chunk_ * loops_.lanes);
        Scratch<F> rows(regions_.buffer_size(chunk_));
        Best<T> best(count * loops_.lanes);
        for (int64_t task = begin; task < end; ++task)
          image(block, first, count, task / splits_, task % splits_, tile.data(), rows.data(), best);
      });
    }
    for (int64_t split = 1; split < splits_; ++split) join(split);
  }

  void finish(T* entropy, T* log_partition) const {
    for (size_t row = 0; row < partitions_.size(); ++row) {
      log_partition[row] = log_partition_of(partitions_[row]);
      entropy[row] = entropy_of(partitions_[row]);
    }
  }

 private:
  F* panel(const Scratch<F>& block, int64_t i) const { return block.data() + i * loops_.lanes * depth_; }

  // The block, against one thread's share of an image's regions. A region belongs to one share, so that its softmax is
  // added up in the same order by however many threads.
  void image(const Scratch<F>& block, int64_t first, int64_t count, int64_t image, int64_t split, T* tile,
             F* buffer, Best<T>& best) {
    const int64_t lanes = loops_.lanes;
    const auto [begin, end] = share_of(sizes_.regions, split, splits_);
    best.clear(count * lanes);
    for (int64_t row = begin; row < end; row += chunk_) {
      const int64_t rows = std::min(chunk_, end - row);
      const RowView<F> view = regions_.get(image, row, rows, buffer);
      for (int64_t i = 0; i < count; ++i) {
        similarities(panel(block, i), view, rows, sizes_.depth, tile);
        loops_.update_best(tile, rows, row, best.value.data() + i * lanes, best.index.data() + i * lanes);
        if (partitions_.empty()) continue;
        const int64_t used = std::min(lanes, sizes_.parts - (first + i) * lanes);
        loops_.update_partition(tile, rows, used, scale_, partitions_.data() + image * sizes_.regions + row);
      }
    }
    const int64_t to = image * sizes_.parts + first * lanes;
    best.write(0, std::min(count * lanes, sizes_.parts - first * lanes), scores(split) + to, argmax(split) + to);
  }

  // Where the results of a share go: those of the first where all results belong.
  T* scores(int64_t split) const { return split == 0 ? scores_ : others_.value.data() + other(split); }
  int32_t* argmax(int64_t split) const { return split == 0 ? argmax_ : others_.index.data() + other(split); }
  int64_t other(int64_t split) const { return (split - 1) * sizes_.images * sizes_.parts; }

  // Take what a later share found where it is larger; a NaN counts as the largest.
  void join(int64_t split) const {
    for (int64_t at = 0; at < sizes_.images * sizes_.parts; ++at) {
      const T value = scores(split)[at], best = scores_[at];
      if (!(value > best || (std::isnan(value) && !std::isnan(best)))) continue;
      scores_[at] = value;
      argmax_[at] = argmax(split)[at];
    }
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
  const int64_t splits_;  // threads that share an image
  const Best<T> others_;  // [splits but the first][images][parts]
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
  check_inputs(parts, regions);
  if (parts.scalar_type() == ScalarType::Double) return run<double, double>(parts, regions, temperature);
  if (!temperature && screens(regions)) return screened_forward(parts, regions);
  if (temperature && multiplies_whole(regions, tf32)) {
    const Outputs found = run<float, WholePair>(parts, regions, temperature);
    if (!holds_nan(std::get<0>(found))) return found;
  }
  return run<float, float>(parts, regions, temperature);
}

}  // namespace dpnet
