// Scores max_r <x_r, w_p> and argmax on the CPU: 16-bit products bound all similarities, float32 decides among few.
// Chosen without entropy from R = 16 and d = 32 on, with AVX512-VNNI; not for float64.
//
// Unit parts and regions are rounded to w' = round(N w) / N and x' = |x| round(N x / |x|) / N, N = 32767. An element is
// off by at most half a step, so with D = sqrt(d) / (2 N) |w - w'| <= D and |x - x'| <= D |x|, and by Cauchy-Schwarz
//   |<x, w> - <x', w'>| <= |x - x'| |w| + |x'| |w - w'| <= D (2 + D) |x|.
// N^2 <x', w'> / |x| is a sum of whole numbers below (N + sqrt(d) / 2)^2 < 2^31, exact in any order of its terms.
// A region whose upper bound does not reach the largest lower bound is not the best; all others are compared. Of random
// regions that is 1.3 for each part and image at d = 2048, 1.1 at d = 512 and 1.03 at d = 128. Where an image's regions
// are all equal nothing is ruled out, and the time is three times that of a float32 product.
#include "screened_forward.h"

#include <vector>

#include "blocks.h"
#include "panels.h"

namespace dpnet {
namespace {

constexpr float STEPS = 32767;
constexpr double ROUNDING = 1e-6;                    // more than float32 adds to the bounds
constexpr double SMALLEST = 1e-20, LARGEST = 1e20;  // norms within which neither bounds nor steps leave float32

// D (2 + D), with the half a step that float32 may round a little further.
double margin_of(int64_t depth) {
  const double distance = 0.51 * std::sqrt(double(depth)) / STEPS;
  return distance * (2 + distance) + ROUNDING;
}

// The regions of an image, or some of them, as whole numbers, with the scale and the margin of their bounds.
struct Screen {
  Screen(int64_t rows, int64_t pitch) : whole(rows * pitch), scales(rows), margins(rows), pitch(pitch) {}

  Scratch<WholePair> whole;
  Scratch<float> scales, margins;
  int64_t pitch;
};

class ScreenedForward {
 public:
  ScreenedForward(const Tensor& parts, const Tensor& regions, float* scores, int32_t* argmax)
      : loops_(*screen_loops()),
        sizes_(sizes_of(parts, regions)),
        parts_(read<float>(parts)),
        regions_(regions),
        scores_(scores),
        argmax_(argmax),
        pairs_(divide_up(sizes_.depth, 2)),
        margin_(margin_of(sizes_.depth)),
        chunk_(chunk_rows<float>(sizes_)),
        blocks_(sizes_, loops_.lanes, loops_.lanes * pairs_ * sizeof(WholePair)),
        splits_(splits_of(sizes_, blocks_.block)),
        inverse_norms_(sizes_.parts),
        norms_(splits_ * sizes_.images * sizes_.regions) {}

  void run() {
    Scratch<WholePair> block(blocks_.block * loops_.lanes * pairs_);
    for (int64_t first = 0; first < blocks_.panels; first += blocks_.block) {
      const int64_t count = blocks_.count(first);
      torch::stable::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) pack(first + i, panel(block, i));
      });
      torch::stable::parallel_for(0, sizes_.images * splits_, 1, [&](int64_t begin, int64_t end) {
        Work work(*this, count);
        for (int64_t task = begin; task < end; ++task)
          image(block, first, count, task / splits_, task % splits_, work);
      });
    }
  }

 private:
  // What one thread needs.
  struct Work {
    Work(const ScreenedForward& own, int64_t count)
        : screen(own.chunk_, divide_up(own.pairs_, 16) * 16 + 16),
          buffer(own.regions_.buffer_size(own.chunk_)),
          tile(own.chunk_ * own.loops_.lanes),
          lanes(own.chunk_),
          floor(count * own.loops_.lanes),
          best(count * own.loops_.lanes) {}

    Screen screen;
    Scratch<float> buffer;
    Scratch<int32_t> tile;
    Scratch<uint64_t> lanes;
    Scratch<float> floor;
    Best<float> best;
  };

  WholePair* panel(const Scratch<WholePair>& block, int64_t i) const {
    return block.data() + i * loops_.lanes * pairs_;
  }

  // A part whose norm has no use stays 0 throughout: then no region of it is ruled out.
  void pack(int64_t panel, WholePair* to) {
    const int64_t lanes = loops_.lanes, first = panel * lanes, count = std::min(lanes, sizes_.parts - first);
    Scratch<WholePair> row(pairs_);
    std::fill_n(to, lanes * pairs_, WholePair{});
    for (int64_t lane = 0; lane < count; ++lane) {
      const float* part = parts_ + (first + lane) * sizes_.depth;
      const float scale = inverse_norms_[first + lane] = inverse_norm(part, sizes_.depth);
      if (!(scale >= 1 / LARGEST)) continue;
      row.data()[pairs_ - 1] = {};
      loops_.quantise(part, scale, STEPS, sizes_.depth, row.data()->values);
      for (int64_t k = 0; k < pairs_; ++k) to[k * lanes + lane] = row.data()[k];
    }
  }

  // One thread's panels of the block, against one image.
  void image(const Scratch<WholePair>& block, int64_t first, int64_t count, int64_t image, int64_t split,
             Work& work) {
    const int64_t lanes = loops_.lanes;
    const auto [begin, end] = share_of(count, split, splits_);
    work.best.clear(count * lanes);
    std::fill_n(work.floor.data(), count * lanes, -std::numeric_limits<float>::infinity());
    for (int64_t row = 0; row < sizes_.regions; row += chunk_) {
      const int64_t rows = std::min(chunk_, sizes_.regions - row);
      const RowView<float> view = regions_.get(image, row, rows, work.buffer.data());
      float* norms = norms_.data() + (split * sizes_.images + image) * sizes_.regions + row;
      if (first == 0) measure(view, rows, norms);
      prepare(view, rows, norms, work.screen);
      for (int64_t i = begin; i < end; ++i) {
        bound(panel(block, i), rows, i * lanes, work);
        decide(view, rows, row, (first + i) * lanes, i * lanes, work);
      }
    }
    const int64_t part = (first + begin) * lanes, to = image * sizes_.parts + part;
    const int64_t found = std::min((end - begin) * lanes, sizes_.parts - part);
    work.best.write(begin * lanes, found, scores_ + to, argmax_ + to);
  }

  void measure(RowView<float> view, int64_t rows, float* norms) const {
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = view.data + r * view.pitch;
      norms[r] = float(std::sqrt(loops<float>().dot(row, row, sizes_.depth)));
    }
  }

  // A region whose norm has no use (not finite, or beyond the bounds) is never ruled out.
  void prepare(RowView<float> view, int64_t rows, const float* norms, Screen& screen) const {
    for (int64_t r = 0; r < rows; ++r) {
      WholePair* whole = screen.whole.data() + r * screen.pitch;
      const float norm = norms[r];
      const bool usable = norm >= SMALLEST && norm <= LARGEST;
      whole[pairs_ - 1] = {};
      if (usable) {
        loops_.quantise(view.data + r * view.pitch, 1 / norm, STEPS, sizes_.depth, whole->values);
      } else {
        std::fill_n(whole, pairs_, WholePair{});
      }
      screen.scales.data()[r] = usable ? norm / (STEPS * STEPS) : 0;
      screen.margins.data()[r] = usable      ? float(norm * margin_)
                                 : norm == 0 ? 0
                                             : std::numeric_limits<float>::infinity();
    }
  }

  // The lanes of a panel in which each region may be the best.
  void bound(const WholePair* panel, int64_t rows, int64_t lane, Work& work) const {
    constexpr int64_t step = STEP_BYTES / sizeof(WholePair);
    const Screen& screen = work.screen;
    int32_t* tile = work.tile.data();
    float* floor = work.floor.data() + lane;
    for (int64_t k = 0; k < pairs_; k += step)
      loops_.multiply(panel + k * loops_.lanes, screen.whole.data() + k, screen.pitch, rows,
                      std::min(step, pairs_ - k), tile, k > 0);
    loops_.raise_floor(tile, rows, screen.scales.data(), screen.margins.data(), floor);
    loops_.reaching(tile, rows, screen.scales.data(), screen.margins.data(), floor, work.lanes.data());
  }

  // Compare those in float32, a lower region first: the same sum for each, so that equal regions tie.
  void decide(RowView<float> view, int64_t rows, int64_t first_row, int64_t first_part, int64_t lane,
              Work& work) const {
    const int64_t used = std::min(loops_.lanes, sizes_.parts - first_part);
    const uint64_t valid = used == 64 ? ~uint64_t(0) : (uint64_t(1) << used) - 1;
    float* best = work.best.value.data() + lane;
    int32_t* index = work.best.index.data() + lane;
    for (int64_t r = 0; r < rows; ++r)
      for (uint64_t left = work.lanes.data()[r] & valid; left; left &= left - 1) {
        const int l = __builtin_ctzll(left);
        const int64_t part = first_part + l;
        const float value = loops_.scaled_dot(parts_ + part * sizes_.depth, inverse_norms_[part],
                                              view.data + r * view.pitch, sizes_.depth);
        if (!(value > best[l] || (std::isnan(value) && !std::isnan(best[l])))) continue;
        best[l] = value;
        index[l] = int32_t(first_row + r);
      }
  }

  const ScreenLoops& loops_;
  const Sizes sizes_;
  const float* parts_;
  const RegionRows<float> regions_;
  float* scores_;
  int32_t* argmax_;
  const int64_t pairs_;
  const double margin_;  // of a bound, over the norm of the region
  const int64_t chunk_;
  const Blocks blocks_;
  const int64_t splits_;  // threads that share the panels of a block, for one image
  std::vector<float> inverse_norms_, norms_;
};

}  // namespace

// Below, a float32 product costs no more: one inner product a part and image is left in any case.
bool screens(const Tensor& regions) {
  constexpr int64_t least_regions = 16, least_depth = 32;
  return screen_loops() != nullptr && regions.size(1) >= least_regions && regions.size(2) >= least_depth;
}

Outputs screened_forward(const Tensor& parts, const Tensor& regions) {
  const Sizes sizes = sizes_of(parts, regions);
  Tensor scores = torch::stable::new_empty(parts, {sizes.images, sizes.parts});
  Tensor argmax = torch::stable::new_empty(parts, {sizes.images, sizes.parts}, ScalarType::Int);
  ScreenedForward(parts, regions, write<float>(scores),
                  write<int32_t>(argmax))
      .run();
  return {scores, argmax, torch::stable::new_empty(parts, {0}), torch::stable::new_empty(parts, {0})};
}

}  // namespace dpnet
