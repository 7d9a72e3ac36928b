// component_boxes: the box of the largest connected component of {map > t} for several thresholds t, in one sweep.
// Maps of any size on the CPU, thresholds that rise.
// Pixels join from the highest level down, and a forest of disjoint sets keeps size and box of every component (Tarjan
// 1975); so a threshold more costs a table entry, not another labelling.

#include <algorithm>
#include <vector>

#include "../operations.h"
#include "tensors.h"

namespace opticam {

namespace {

struct Component {
  int32_t size, left, right, bottom;  // the top follows from the root, its first pixel in raster order
};

class Sweep {
 public:
  Sweep(int64_t height, int64_t width, int64_t thresholds)
      : height_(height), width_(width), frame_(int32_t(width + 2)), levels_(height * width), places_(height * width),
        begin_(thresholds + 2), parent_((height + 2) * frame_), components_((height + 2) * frame_) {}

  // Thresholds rise. boxes[t] is x1, y1, x2, y2 of the component above thresholds[t], zeros where there is none.
  template <class T>
  void run(const T* map, const T* thresholds, int64_t* boxes) {
    const int64_t count = int64_t(begin_.size()) - 2;
    sort(map, thresholds, count);
    std::fill(parent_.begin(), parent_.end(), absent);
    largest_ = absent;
    for (int64_t level = count; level > 0; --level) {
      for (int64_t i = begin_[level], next; i < begin_[level + 1]; i = next) {
        for (next = i + 1; next < begin_[level + 1] && places_[next] == places_[next - 1] + 1;) ++next;
        join(places_[i], places_[next - 1]);
      }
      write_box(boxes + (level - 1) * 4);
    }
  }

 private:
  static constexpr int32_t absent = -1;

  // Orders the pixels by level, which is the number of thresholds below their value. Neighbours differ little.
  template <class T>
  void sort(const T* map, const T* thresholds, int64_t count) {
    std::fill(begin_.begin(), begin_.end(), 0);
    int64_t level = 0;
    for (int64_t i = 0; i < height_ * width_; ++i) {
      while (level < count && map[i] > thresholds[level]) ++level;
      while (level > 0 && !(map[i] > thresholds[level - 1])) --level;
      levels_[i] = int32_t(level);
      ++begin_[level + 1];
    }
    for (size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
    std::vector<int64_t> next(begin_.begin(), begin_.end() - 1);
    for (int32_t row = 0, i = 0; row < height_; ++row)
      for (int32_t column = 0; column < width_; ++column, ++i)
        places_[next[levels_[i]]++] = (row + 1) * frame_ + column + 1;
  }

  // Adds a run of pixels of one row, from `first` to `last`.
  void join(int32_t first, int32_t last) {
    const int32_t row = int32_t(first / frame_), start = int32_t(row * frame_ + 1);
    std::fill(&parent_[first], &parent_[last] + 1, first);
    components_[first] = {last - first + 1, first - start, last - start + 1, row};
    int32_t root = first;
    if (parent_[first - 1] != absent) root = unite(root, find(first - 1));
    if (parent_[last + 1] != absent) root = unite(root, find(last + 1));
    for (const int32_t other : {first - frame_, first + frame_}) {
      for (int32_t i = 0; i <= last - first; ++i)  // pixels that follow a present one belong to its component
        if (parent_[other + i] != absent && (i == 0 || parent_[other + i - 1] == absent))
          root = unite(root, find(other + i));
    }
    if (largest_ == absent || size(root) > size(largest_) || (size(root) == size(largest_) && root < largest_))
      largest_ = root;
  }

  int32_t find(int32_t place) {
    while (parent_[place] != place) {
      parent_[place] = parent_[parent_[place]];
      place = parent_[place];
    }
    return place;
  }

  int32_t unite(int32_t first, int32_t second) {
    if (first == second) return first;
    if (second < first) std::swap(first, second);
    parent_[second] = first;
    Component& whole = components_[first];
    const Component& part = components_[second];
    whole = {whole.size + part.size, std::min(whole.left, part.left), std::max(whole.right, part.right),
             std::max(whole.bottom, part.bottom)};
    return first;
  }

  int32_t size(int32_t root) const { return components_[root].size; }

  void write_box(int64_t* box) const {
    if (largest_ == absent) return std::fill(box, box + 4, 0);
    const Component& found = components_[largest_];
    box[0] = found.left;
    box[1] = largest_ / frame_ - 1;
    box[2] = found.right;
    box[3] = found.bottom;
  }

  int64_t height_, width_;
  int32_t frame_;  // pixels of a row with a border on both sides, so that no neighbour lies outside
  std::vector<int32_t> levels_, places_;
  std::vector<int64_t> begin_;  // of each level in places_
  std::vector<int32_t> parent_;
  std::vector<Component> components_;  // of the roots
  int32_t largest_ = absent;
};

template <class T>
void run(const Tensor& maps, const Tensor& thresholds, const Tensor& boxes) {
  const int64_t plane = maps.size(1) * maps.size(2), count = thresholds.size(1);
  torch::stable::parallel_for(0, maps.size(0), 1, [&](int64_t begin, int64_t end) {
    Sweep sweep(maps.size(1), maps.size(2), count);
    for (int64_t image = begin; image < end; ++image)
      sweep.run(read<T>(maps) + image * plane, read<T>(thresholds) + image * count,
                write<int64_t>(boxes) + image * count * 4);
  });
}

}  // namespace

static Tensor component_boxes(Tensor maps, Tensor thresholds) {
  STD_TORCH_CHECK(maps.dim() == 3 && thresholds.dim() == 2 && maps.size(0) == thresholds.size(0),
                  "accepted: maps [B,H,W] and thresholds [B,T]");
  STD_TORCH_CHECK(maps.scalar_type() == thresholds.scalar_type(), "maps and thresholds must have one dtype");
  STD_TORCH_CHECK((maps.size(1) + 2) * (maps.size(2) + 2) <= INT32_MAX, "the maps have too many pixels");
  const Tensor boxes = result({maps.size(0), thresholds.size(1), 4}, ScalarType::Long, maps);
  maps = torch::stable::contiguous(maps);
  thresholds = torch::stable::contiguous(thresholds);
  if (maps.scalar_type() == ScalarType::Double) {
    run<double>(maps, thresholds, boxes);
  } else {
    STD_TORCH_CHECK(maps.scalar_type() == ScalarType::Float, "accepted: float32, float64");
    run<float>(maps, thresholds, boxes);
  }
  return boxes;
}

}  // namespace opticam

STABLE_TORCH_LIBRARY_FRAGMENT(opticam, m) {
  m.def("component_boxes(Tensor maps, Tensor thresholds) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(opticam, CPU, m) {
  m.impl("component_boxes", TORCH_BOX(&opticam::component_boxes));
}
