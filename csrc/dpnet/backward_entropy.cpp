// Gradients through the entropy and, with it, the maximum: dS is dense, so each tile of similarities is computed
// again, turned into its gradient in cache, and multiplied straight into the gradient of parts or of regions.
#include "backward.h"

namespace dpnet {
namespace {

template <class T>
class Slopes {
 public:
  explicit Slopes(const BackwardInputs<T>& in)
      : in_(in), chunk_(chunk_rows<T>(in.sizes)), tile_(chunk_ * loops<T>().lanes), entropies_(chunk_) {}

  int64_t chunk() const { return chunk_; }

  // dS of `rows` regions from `first` on against one panel, [rows][lanes].
  const T* compute(const T* panel, int64_t first_part, int64_t image, int64_t first, int64_t rows, RowView<T> view) {
    const Loops<T>& table = loops<T>();
    similarities(table, panel, view, rows, in_.sizes.depth, tile_.data());
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = image * in_.sizes.regions + first + r;
      entropies_.data()[r] = {in_.log_partition[at], in_.entropy[at], in_.grad_entropy[at] * in_.scale};
    }
    table.entropy_slope(tile_.data(), rows, in_.scale, entropies_.data());
    if (in_.grad_scores) add_scores(first_part, image, first, rows);
    return tile_.data();
  }

 private:
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
};

template <class T>
void write_panel(const BackwardInputs<T>& in, const T* sums, int64_t first_part, T* grad_parts) {
  const int64_t lanes = loops<T>().lanes, depth = in.sizes.depth;
  const int64_t count = std::min(lanes, in.sizes.parts - first_part);
  for (int64_t lane = 0; lane < count; ++lane) {
    T* gradient = grad_parts + (first_part + lane) * depth;
    for (int64_t k = 0; k < depth; ++k) gradient[k] = sums[k * lanes + lane];
    remove_radial(in.parts + (first_part + lane) * depth, depth, gradient);
  }
}

// Unit parts [lanes][pitch], zeros where there is none.
template <class T>
void unit_rows(const BackwardInputs<T>& in, int64_t first_part, int64_t pitch, T* rows) {
  const int64_t lanes = loops<T>().lanes, depth = in.sizes.depth;
  std::fill_n(rows, lanes * pitch, T(0));
  for (int64_t lane = 0; lane < std::min(lanes, in.sizes.parts - first_part); ++lane) {
    const T* part = in.parts + (first_part + lane) * depth;
    const T scale = inverse_norm(part, depth);
    for (int64_t k = 0; k < depth; ++k) rows[lane * pitch + k] = part[k] * scale;
  }
}

}  // namespace

template <class T>
void parts_through_entropy(const BackwardInputs<T>& in, T* grad_parts) {
  const Loops<T>& table = loops<T>();
  const Sizes sizes = in.sizes;
  torch::stable::parallel_for(0, divide_up(sizes.parts, table.lanes), 1, [&](int64_t begin, int64_t end) {
    Slopes<T> slopes(in);
    const int64_t chunk = slopes.chunk();
    Scratch<T> panel(table.lanes * sizes.depth), sums(table.lanes * sizes.depth);
    Scratch<T> buffer(in.regions.buffer_size(chunk));
    for (int64_t first_part = begin * table.lanes; first_part < end * table.lanes; first_part += table.lanes) {
      pack_panel(in.parts, sizes, first_part, table.lanes, panel.data());
      std::fill_n(sums.data(), table.lanes * sizes.depth, T(0));
      for (int64_t image = 0; image < sizes.images; ++image)
        for (int64_t first = 0; first < sizes.regions; first += chunk) {
          const int64_t rows = std::min(chunk, sizes.regions - first);
          const RowView<T> view = in.regions.get(image, first, rows, buffer.data());
          const T* tile = slopes.compute(panel.data(), first_part, image, first, rows, view);
          table.multiply(tile, table.lanes, view.data, {1, view.pitch}, sizes.depth, rows, sums.data(),
                         table.lanes, true);
        }
      write_panel(in, sums.data(), first_part, grad_parts);
    }
  });
}

template <class T>
void regions_through_entropy(const BackwardInputs<T>& in, T* grad_regions) {
  const Loops<T>& table = loops<T>();
  const Sizes sizes = in.sizes;
  const int64_t pitch = divide_up(sizes.depth, table.lanes) * table.lanes;
  Scratch<T> panel(table.lanes * sizes.depth), units(table.lanes * pitch);
  for (int64_t first_part = 0; first_part < sizes.parts; first_part += table.lanes) {
    pack_panel(in.parts, sizes, first_part, table.lanes, panel.data());
    unit_rows(in, first_part, pitch, units.data());
    torch::stable::parallel_for(0, sizes.images, 1, [&](int64_t begin, int64_t end) {
      Slopes<T> slopes(in);
      const int64_t chunk = slopes.chunk();
      Scratch<T> buffer(in.regions.buffer_size(chunk)), sums(chunk * pitch);
      for (int64_t image = begin; image < end; ++image)
        for (int64_t first = 0; first < sizes.regions; first += chunk) {
          const int64_t rows = std::min(chunk, sizes.regions - first);
          const RowView<T> view = in.regions.get(image, first, rows, buffer.data());
          const T* tile = slopes.compute(panel.data(), first_part, image, first, rows, view);
          for (int64_t k = 0; k < pitch; k += table.lanes)
            table.multiply(units.data() + k, pitch, tile, {table.lanes, 1}, rows, table.lanes, sums.data() + k,
                           pitch, false);
          for (int64_t r = 0; r < rows; ++r)
            table.add(sums.data() + r * pitch, T(1), sizes.depth,
                      grad_regions + (image * sizes.regions + first + r) * sizes.depth);
        }
    });
  }
}

template void parts_through_entropy(const BackwardInputs<float>&, float*);
template void parts_through_entropy(const BackwardInputs<double>&, double*);
template void regions_through_entropy(const BackwardInputs<float>&, float*);
template void regions_through_entropy(const BackwardInputs<double>&, double*);

}  // namespace dpnet
