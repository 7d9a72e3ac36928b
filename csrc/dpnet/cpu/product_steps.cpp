// The steps around a product on the CPU, s_bp = max_r S_rp and H_r or dL/dS: panels of the similarities are copied to
// tiles and go through the loops there. Every shape, where `chunked.cpp` runs on the CPU; an image belongs to one thread.
#include "../../common/dtypes.h"
#include "../chunked/steps.h"
#include "backward.h"
#include "blocks.h"

namespace dpnet {
namespace {

// One image's similarities with a panel of parts, [regions][lanes], zeros where there is no part.
template <class T>
class Tiles {
 public:
  explicit Tiles(const Product& product)
      : product_(product),
        values_(torch::stable::view(product.values, {product.images, product.regions, product.values.size(1)})),
        rows_(values_),
        lanes_(loops<T>().lanes) {}

  int64_t count(int64_t first) const { return std::min(lanes_, product_.parts - first); }

  void read_panel(int64_t image, int64_t first, T* tile) const {
    const int64_t used = count(first);
    if (used == lanes_) return rows_.copy_columns(image, 0, product_.regions, first, first + lanes_, tile);
    std::fill_n(tile, product_.regions * lanes_, T(0));
    for (int64_t r = 0; r < product_.regions; ++r) rows_.copy_columns(image, r, 1, first, first + used, tile + r * lanes_);
  }

  void write_panel(int64_t image, int64_t first, const T* tile) const {
    with_type(values_.scalar_type(), [&](auto type) { store<typename decltype(type)::type>(image, first, tile); });
  }

 private:
  template <class E>
  void store(int64_t image, int64_t first, const T* tile) const {
    const int64_t pitch = values_.size(2), used = count(first);
    const int64_t end = first + used == product_.parts ? pitch - first : used;  // zeros in the padding, too
    E* to = write<E>(values_) + image * product_.regions * pitch + first;
    for (int64_t r = 0; r < product_.regions; ++r, to += pitch, tile += lanes_)
      for (int64_t lane = 0; lane < end; ++lane) to[lane] = lane < used ? static_cast<E>(tile[lane]) : E(0);
  }

  const Product& product_;
  const Tensor values_;
  const RegionRows<T> rows_;
  const int64_t lanes_;
};

// use(image, first part of a panel, its tile and buffer) for every image and panel.
template <class T, class Use>
void each_panel(const Product& product, const Use& use) {
  const Tiles<T> tiles(product);
  const int64_t lanes = loops<T>().lanes;
  torch::stable::parallel_for(0, product.images, 1, [&](int64_t begin, int64_t end) {
    Scratch<T> tile(product.regions * lanes);
    for (int64_t image = begin; image < end; ++image)
      for (int64_t first = 0; first < product.parts; first += lanes) use(tiles, image, first, tile.data());
  });
}

template <class T>
void reduce(const Product& product, const Found& found) {
  const Loops<T>& table = loops<T>();
  const int64_t all = found.scores.size(1), regions = product.regions, offset = product.first_image * regions;
  T* const scores = write<T>(found.scores) + product.first_image * all + product.first_part;
  int32_t* const argmax = write<int32_t>(found.argmax) + product.first_image * all + product.first_part;
  Partition<T>* const state = write<Partition<T>>(found.state) + offset;
  if (found.scale && product.first_part == 0)
    std::fill_n(state, product.images * regions, empty_partition<T>());
  each_panel<T>(product, [&](const Tiles<T>& tiles, int64_t image, int64_t first, T* tile) {
    tiles.read_panel(image, first, tile);
    Best<T> best(table.lanes);
    best.clear(table.lanes);
    table.update_best(tile, regions, 0, best.value.data(), best.index.data());
    best.write(0, tiles.count(first), scores + image * all + first, argmax + image * all + first);
    if (found.scale)
      table.update_partition(tile, regions, tiles.count(first), T(*found.scale), state + image * regions);
  });
  if (!found.scale) return;
  T *const entropy = write<T>(found.entropy) + offset, *const log_partition = write<T>(found.log_partition) + offset;
  for (int64_t row = 0; row < product.images * regions; ++row) {
    entropy[row] = entropy_of(state[row]);
    log_partition[row] = log_partition_of(state[row]);
  }
}

template <class T>
void slope(const Product& product, const Upstream& upstream) {
  const Loops<T>& table = loops<T>();
  const int64_t all = upstream.argmax.size(1), regions = product.regions;
  std::vector<EntropyRow<T>> rows(upstream.grad_entropy ? product.images * regions : 0);
  for (size_t row = 0; row < rows.size(); ++row) {
    const int64_t at = product.first_image * regions + int64_t(row);
    rows[row] = {read<T>(upstream.log_partition)[at], read<T>(upstream.entropy)[at],
                 read<T>(*upstream.grad_entropy)[at] * T(upstream.scale)};
  }
  each_panel<T>(product, [&](const Tiles<T>& tiles, int64_t image, int64_t first, T* tile) {
    if (rows.empty()) {
      std::fill_n(tile, regions * table.lanes, T(0));
    } else {
      tiles.read_panel(image, first, tile);
      table.entropy_slope(tile, regions, T(upstream.scale), rows.data() + image * regions);
    }
    const int64_t at = (product.first_image + image) * all + product.first_part + first;
    for (int64_t lane = 0; upstream.grad_scores && lane < tiles.count(first); ++lane)
      tile[read<int32_t>(upstream.argmax)[at + lane] * table.lanes + lane] += read<T>(*upstream.grad_scores)[at + lane];
    tiles.write_panel(image, first, tile);
  });
}

template <class E>
void fill_units(const Tensor& parts, int64_t first, int64_t count, const Tensor& units, const Tensor& norms) {
  using T = SumType<E>;
  const int64_t depth = parts.size(1);
  E* const to = write<E>(units);
  T* const inverse = write<T>(norms);
  torch::stable::parallel_for(0, units.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* part = read<T>(parts) + (first + row) * depth;
      if (row < count) inverse[first + row] = inverse_norm(part, depth);
      for (int64_t k = 0; k < depth; ++k)
        to[row * depth + k] = row < count ? static_cast<E>(part[k] * inverse[first + row]) : E(0);
    }
  });
}

void unit_parts(const Tensor& parts, int64_t first, int64_t count, const Tensor& units, const Tensor& norms) {
  with_type(units.scalar_type(),
            [&](auto type) { fill_units<typename decltype(type)::type>(parts, first, count, units, norms); });
}

template <class E>
void add_terms(const Tensor& terms, const Tensor& sums) {
  using T = SumType<E>;
  const E* const from = read<E>(terms);
  T* const to = write<T>(sums);
  torch::stable::parallel_for(0, terms.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] += static_cast<T>(from[i]);
  });
}

void add(const Tensor& terms, const Tensor& sums) {
  with_type(terms.scalar_type(), [&](auto type) { add_terms<typename decltype(type)::type>(terms, sums); });
}

template <class T>
void turn(const Tensor& parts, const Tensor& gradient) {
  const int64_t depth = parts.size(1);
  torch::stable::parallel_for(0, parts.size(0), 16, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part)
      remove_radial(read<T>(parts) + part * depth, depth, write<T>(gradient) + part * depth);
  });
}

}  // namespace

const Steps steps_on_cpu{
    unit_parts,
    [](const Product& product, const Found& found) {
      is_double(product.values) ? reduce<double>(product, found) : reduce<float>(product, found);
    },
    [](const Product& product, const Upstream& upstream) {
      is_double(product.values) ? slope<double>(product, upstream) : slope<float>(product, upstream);
    },
    add,
    [](const Tensor& parts, const Tensor&, const Tensor& gradient) {
      is_double(parts) ? turn<double>(parts, gradient) : turn<float>(parts, gradient);
    }};

}  // namespace dpnet
