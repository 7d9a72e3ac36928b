// Gradients dU = dS^T X, dX = dS W through entropy and maximum: dS_rp = -g_r pi_rp (log pi_rp + H_r) / t, + g_bp at r*.
// Where entropies have a gradient and the forward pass did not make it; every shape.
// dS is dense: each tile of similarities is computed again, turned into its gradient in cache, and multiplied straight
// into the gradient of parts or of regions.
#include "backward.h"

namespace dpnet {
namespace {

// What one thread needs to compute dS of some regions against one panel of parts.
template <class T>
class Slopes {
 public:
  explicit Slopes(const BackwardInputs<T>& in)
      : in_(in),
        chunk_(chunk_rows<T>(in.sizes)),
        tile_(chunk_ * loops<T>().lanes),
        entropies_(chunk_),
        rows_(in.regions.buffer_size(chunk_)) {}

  int64_t chunk() const { return chunk_; }

  // The regions that dS was computed of.
  const RowView<T>& regions() const { return view_; }

  // dS of `rows` regions from `first` on against the panel of the parts from `first_part` on, [rows][lanes].
  const T* compute(const T* panel, int64_t first_part, int64_t image, int64_t first, int64_t rows) {
    view_ = in_.regions.get(image, first, rows, rows_.data());
    similarities(panel, view_, rows, in_.sizes.depth, tile_.data());
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = image * in_.sizes.regions + first + r;
      entropies_.data()[r] = {in_.log_partition[at], in_.entropy[at], in_.grad_entropy[at] * in_.scale};
    }
    loops<T>().entropy_slope(tile_.data(), rows, in_.scale, entropies_.data());
    clear_padding(first_part, rows);
    if (in_.grad_scores) add_scores(first_part, image, first, rows);
    return tile_.data();
  }

 private:
  // Lanes past the last part, whose similarity 0 may be far above every real one: their share is not a number.
  void clear_padding(int64_t first_part, int64_t rows) {
    const int64_t lanes = loops<T>().lanes, count = std::min(lanes, in_.sizes.parts - first_part);
    for (int64_t r = 0; r < rows; ++r) std::fill_n(tile_.data() + r * lanes + count, lanes - count, T(0));
  }

  void add_scores(int64_t first_part, int64_t image, int64_t first, int64_t rows) {
    const int64_t lanes = loops<T>().lanes, count = std::min(lanes, in_.sizes.parts - first_part);
    for (int64_t lane = 0; lane < count; ++lane) {
      const int64_t row = in_.best(image, first_part + lane) - first;
      if (row >= 0 && row < rows) tile_.data()[row * lanes + lane] += in_.grad(image, first_part + lane);
    }
  }

  const BackwardInputs<T>& in_;
  const int64_t chunk_;
  Scratch<T> tile_;
  Scratch<EntropyRow<T>> entropies_;
  Scratch<T> rows_;
  RowView<T> view_{};
};

// Unit parts [lanes][pitch], zeros where there is none.
template <class T>
void unit_rows(const UnitParts<T>& parts, int64_t first_part, int64_t pitch, T* rows) {
  const int64_t lanes = loops<T>().lanes, count = std::min(lanes, parts.sizes.parts - first_part);
  std::fill_n(rows, lanes * pitch, T(0));
  for (int64_t lane = 0; lane < count; ++lane) pack_unit(parts, first_part + lane, rows + lane * pitch);
}

// The gradient of one panel of parts, [depth][lanes], over all images.
template <class T>
void sum_panel(const BackwardInputs<T>& in, Slopes<T>& slopes, const T* panel, int64_t first_part, T* sums) {
  const Loops<T>& table = loops<T>();
  std::fill_n(sums, table.lanes * in.sizes.depth, T(0));
  for (int64_t image = 0; image < in.sizes.images; ++image)
    for (int64_t first = 0; first < in.sizes.regions; first += slopes.chunk()) {
      const int64_t rows = std::min(slopes.chunk(), in.sizes.regions - first);
      const T* tile = slopes.compute(panel, first_part, image, first, rows);
      const RowView<T>& view = slopes.regions();
      table.multiply(tile, table.lanes, view.data, {1, view.pitch}, in.sizes.depth, rows, sums, table.lanes, true);
    }
}

// Add to the gradient of one image's regions what comes from one panel of parts.
template <class T>
void add_image(const BackwardInputs<T>& in, Slopes<T>& slopes, const T* panel, const T* units, int64_t pitch,
               int64_t first_part, int64_t image, T* sums, T* gradient) {
  const Loops<T>& table = loops<T>();
  for (int64_t first = 0; first < in.sizes.regions; first += slopes.chunk()) {
    const int64_t rows = std::min(slopes.chunk(), in.sizes.regions - first);
    const T* tile = slopes.compute(panel, first_part, image, first, rows);
    for (int64_t k = 0; k < pitch; k += table.lanes)
      table.multiply(units + k, pitch, tile, {table.lanes, 1}, rows, table.lanes, sums + k, pitch, false);
    for (int64_t r = 0; r < rows; ++r)
      table.add(sums + r * pitch, T(1), in.sizes.depth, gradient + (first + r) * in.sizes.depth);
  }
}

}  // namespace

template <class T>
void parts_through_entropy(const BackwardInputs<T>& in, T* grad_parts) {
  const int64_t lanes = loops<T>().lanes;
  const UnitParts<T> parts(in.parts, in.sizes);
  torch::stable::parallel_for(0, divide_up(in.sizes.parts, lanes), 1, [&](int64_t begin, int64_t end) {
    Slopes<T> slopes(in);
    Scratch<T> panel(lanes * in.sizes.depth);
    Scratch<T> sums(lanes * in.sizes.depth);
    for (int64_t first_part = begin * lanes; first_part < end * lanes; first_part += lanes) {
      pack_panel(parts, first_part, lanes, panel.data());
      sum_panel(in, slopes, panel.data(), first_part, sums.data());
      turn_panel(in.parts, in.sizes, sums.data(), first_part, grad_parts + first_part * in.sizes.depth);
    }
  });
}

template <class T>
void regions_through_entropy(const BackwardInputs<T>& in, T* grad_regions) {
  const Sizes sizes = in.sizes;
  const int64_t lanes = loops<T>().lanes, pitch = divide_up(sizes.depth, lanes) * lanes;
  const UnitParts<T> parts(in.parts, sizes);
  Scratch<T> panel(lanes * sizes.depth);
  Scratch<T> units(lanes * pitch);
  for (int64_t first_part = 0; first_part < sizes.parts; first_part += lanes) {
    pack_panel(parts, first_part, lanes, panel.data());
    unit_rows(parts, first_part, pitch, units.data());
    torch::stable::parallel_for(0, sizes.images, 1, [&](int64_t begin, int64_t end) {
      Slopes<T> slopes(in);
      Scratch<T> sums(slopes.chunk() * pitch);
      for (int64_t image = begin; image < end; ++image)
        add_image(in, slopes, panel.data(), units.data(), pitch, first_part, image, sums.data(),
                  grad_regions + image * sizes.regions * sizes.depth);
    });
  }
}

#define DPNET_INSTANTIATE(T)                                      \
  template void parts_through_entropy(const BackwardInputs<T>&, T*); \
  template void regions_through_entropy(const BackwardInputs<T>&, T*);
DPNET_INSTANTIATE(float)
DPNET_INSTANTIATE(double)

}  // namespace dpnet
