// The steps around a product on the GPU, s_bp = max_r S_rp and H_r or dL/dS: one kernel each, two with entropy.
// For `chunked.cpp`, all dtypes, any shape.
#include "../chunked/steps.h"
#include "launch.cuh"
#include "product_kernels.cuh"

namespace dpnet {
namespace {

template <class Function>
auto with_every_type(ScalarType type, const Function& function) {
  return type == ScalarType::Double ? function(double{}) : with_type(type, function);
}

template <class T>
StoredProduct<T> stored(const Product& product, int64_t all_parts) {
  return {write<T>(product.values), product.first_image, int(product.regions), int(product.values.size(1)),
          int(product.parts),       int(product.first_part), int(all_parts)};
}

template <class T>
void reduce(const Product& product, const Found& found) {
  using A = Accumulator<T>;
  const Launch launch(product.values);
  const StoredProduct<T> in = stored<T>(product, found.scores.size(1));
  const int64_t rows = product.images * product.regions, first = product.first_image * product.regions;
  A *const scores = write<A>(found.scores);
  int* const argmax = write<int>(found.argmax);
  if (!found.scale) {
    launch(reduce_kernel<T, false>, product.images * in.tiles(), 0, in, A(0), scores, argmax,
           static_cast<ShareOf<A>*>(nullptr), rows);
    return;
  }
  Tensor shares = torch::stable::new_empty(found.state, {in.tiles() * rows * 3});
  launch(reduce_kernel<T, true>, product.images * in.tiles(), 0, in, A(*found.scale), scores, argmax,
         write<ShareOf<A>>(shares), rows);
  launch(extend_shares_kernel<A>, (rows + THREADS - 1) / THREADS, 0, read<ShareOf<A>>(shares), rows, in.tiles(),
         product.first_part == 0, write<ShareOf<A>>(found.state) + first, write<A>(found.entropy) + first,
         write<A>(found.log_partition) + first);
}

template <class T>
void slope(const Product& product, const Upstream& upstream) {
  using A = Accumulator<T>;
  const StoredProduct<T> in = stored<T>(product, upstream.argmax.size(1));
  const A* grad_scores = upstream.grad_scores ? read<A>(*upstream.grad_scores) : nullptr;
  const A* grad_entropy = upstream.grad_entropy ? read<A>(*upstream.grad_entropy) : nullptr;
  const Launch launch(product.values);
  // The tiles of the padded rows are those of the parts: a row is padded by less than a lane takes.
  const auto kernel = grad_entropy ? slope_kernel<T, true> : slope_kernel<T, false>;
  launch(kernel, product.images * in.tiles(), 0, in, A(upstream.scale), grad_scores, read<int>(upstream.argmax),
         grad_entropy, read<A>(upstream.entropy), read<A>(upstream.log_partition));
}

template <class T>
void unit_parts(const Tensor& parts, int64_t first, int64_t count, const Tensor& units, const Tensor& norms) {
  using A = Accumulator<T>;
  const int depth = int(parts.size(1));
  const Launch launch(parts);
  launch(unit_parts_kernel<T>, units.size(0), 0, read<A>(parts) + first * depth, int(count), depth, depth,
         write<T>(units), write<A>(norms) + first);
}

template <class T>
void add(const Tensor& terms, const Tensor& sums) {
  const Launch launch(terms);
  launch(add_kernel<T>, (terms.numel() + THREADS - 1) / THREADS, 0, read<T>(terms), terms.numel(),
         write<Accumulator<T>>(sums));
}

template <class A>
void turn_parts(const Tensor& parts, const Tensor& norms, const Tensor& gradient) {
  const Launch launch(parts);
  launch(turn_parts_kernel<A>, parts.size(0), 0, read<A>(parts), read<A>(norms), int(parts.size(1)),
         write<A>(gradient));
}

}  // namespace

const Steps steps_on_cuda{
    [](const Tensor& parts, int64_t first, int64_t count, const Tensor& units, const Tensor& norms) {
      with_every_type(units.scalar_type(), [&](auto zero) { unit_parts<decltype(zero)>(parts, first, count, units, norms); });
    },
    [](const Product& product, const Found& found) {
      with_every_type(product.values.scalar_type(), [&](auto zero) { reduce<decltype(zero)>(product, found); });
    },
    [](const Product& product, const Upstream& upstream) {
      with_every_type(product.values.scalar_type(), [&](auto zero) { slope<decltype(zero)>(product, upstream); });
    },
    [](const Tensor& terms, const Tensor& sums) {
      with_every_type(terms.scalar_type(), [&](auto zero) { add<decltype(zero)>(terms, sums); });
    },
    [](const Tensor& parts, const Tensor& norms, const Tensor& gradient) {
      if (parts.scalar_type() == ScalarType::Double) return turn_parts<double>(parts, norms, gradient);
      turn_parts<float>(parts, norms, gradient);
    }};

}  // namespace dpnet
