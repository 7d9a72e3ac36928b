// saliency_mask backward, dL/du in closed form (opticam/masking/closed_form.py has the formulas).
// CPU tensors, any number of channels, cells and pixels; either gradient may be absent.

#include <optional>
#include <string>
#include <vector>

#include "axis.h"
#include "../operations.h"
#include "inputs.h"
#include "upsampled.h"

namespace opticam {

namespace {
struct Gradients {
  std::optional<Tensor> masked, map;
  Tensor saliency_map;
  bool logistic;
};
}  // namespace

// dL/ds brought down to cells, two rows for each interval of pixel rows: their plain sum and their sum weighted
// by the fraction. No two tasks write to the same place, so the result does not depend on threads.
template <class T, class A>
static std::vector<A> to_cells(const Gradients& gradients, const Tensor& images, const ImageLayout& at,
                               const Axis<A>& rows, const Axis<A>& columns) {
  const auto& typed = typed_loops<T, A>();
  const auto& loops = map_loops<A>();
  const T *pixels = read<T>(images), *g_masked = gradients.masked ? read<T>(*gradients.masked) : nullptr;
  const A *maps = read<A>(gradients.saliency_map), *g_map = gradients.map ? read<A>(*gradients.map) : nullptr;
  RowView view = at.row();
  if (!g_masked) view.colours = 0;
  const std::vector<A> zeros(at.width, 0), ones(at.width, 1);
  std::vector<A> cells(at.batch * rows.cells() * 2 * columns.cells());
  parallel(at.batch * rows.cells(), [&](int64_t task) {
    const int64_t image = task / rows.cells(), interval = task % rows.cells();
    std::vector<A> sum(at.width, 0), weighted(at.width, 0), slope(at.width);
    for (int64_t row = rows.begin(interval); row < rows.begin(interval + 1); ++row) {
      const int64_t pixel = at.pixel(image, row), map_pixel = (image * at.height + row) * at.width;
      const A fraction = rows.fraction(row);
      if (g_masked && !g_map && !gradients.logistic) {
        typed.collect(g_masked + pixel, pixels + pixel, fraction, view, sum.data(), weighted.data());
        continue;
      }
      if (gradients.logistic) loops.slope(maps + map_pixel, at.width, slope.data());
      typed.collect_general(g_masked ? g_masked + pixel : pixels, pixels + pixel,
                            g_map ? g_map + map_pixel : zeros.data(),
                            gradients.logistic ? slope.data() : ones.data(), fraction, view, sum.data(),
                            weighted.data());
    }
    A* out = cells.data() + task * 2 * columns.cells();
    loops.narrow(sum.data(), columns.view(), out);
    loops.narrow(weighted.data(), columns.view(), out + columns.cells());
  });
  return cells;
}

// Adds the two rows of every interval into the cells above and below it: the rest of the transpose. From here to
// the end of `unscale` sums are double: they cancel, and there are few of them.
template <class A>
static void fold(const A* intervals, int64_t h, int64_t w, double* coarse) {
  for (int64_t j = 0; j < h; ++j) {
    const A* sum = intervals + j * 2 * w;
    const A* weighted = sum + w;
    const A* above = sum - w;  // the weighted row of the interval before
    for (int64_t i = 0; i < w; ++i) coarse[j * w + i] = double(sum[i]) - weighted[i] + (j ? above[i] : A(0));
  }
}

// Adds `value` to the four cells that pixel is interpolated from.
template <class A>
static void add_at(const Extreme<A>& pixel, double value, const Axis<A>& rows, const Axis<A>& columns,
                   double* coarse) {
  const int64_t top = rows.cell(pixel.row), left = columns.cell(pixel.column);
  const int64_t bottom = rows.next(top), right = columns.next(left), w = columns.cells();
  const double down = rows.fraction(pixel.row), along = columns.fraction(pixel.column);
  coarse[top * w + left] += value * (1 - down) * (1 - along);
  coarse[top * w + right] += value * (1 - down) * along;
  coarse[bottom * w + left] += value * down * (1 - along);
  coarse[bottom * w + right] += value * down * along;
}

// Carries dL/dn back through the normalisation. Upsampling preserves sums, so both sums over pixels that the
// terms of the minimum and maximum need, of g and of g n, can be taken over cells.
template <class A>
static void unscale(const A* surface, Normalization kind, const Axis<A>& rows, const Axis<A>& columns,
                    double* coarse) {
  Extreme<A> least, greatest;
  map_loops<A>().extremes(surface, rows.view(), columns.view(), &least, &greatest);
  const Scaling<A> scaling = scaling_of(kind, least.value, greatest.value);
  double total = 0, product = 0;
  for (int64_t i = 0; i < rows.cells() * columns.cells(); ++i) {
    total += coarse[i];
    product += coarse[i] * (double(surface[i]) - scaling.low) * scaling.scale;
    coarse[i] *= scaling.scale;
  }
  add_at(greatest, -product * scaling.scale, rows, columns, coarse);
  if (kind == Normalization::range) add_at(least, (product - total) * scaling.scale, rows, columns, coarse);
}

template <class T, class A>
static void project(const Tensor& features, const Tensor& weights, const std::vector<A>& coarse,
                    const std::vector<A>& offsets, A* gradient) {
  const ChannelParts at(features);
  const T* values = read<T>(features);
  parallel(weights.size(0) * at.parts, [&](int64_t task) {
    const int64_t image = task / at.parts;
    typed_loops<T, A>().project(values + at.feature(task), read<A>(weights) + at.channel(task),
                                coarse.data() + image * at.cells, offsets[image], at.count(task), at.cells,
                                gradient + at.channel(task));
  });
}

template <class A>
static Tensor run(Gradients gradients, const Tensor& features, const Tensor& images, const Tensor& weights,
                  const Tensor& surface, Normalization kind) {
  const ImageLayout at(images);
  const int64_t cells = surface.size(1) * surface.size(2);
  const Axis<A> rows(surface.size(1), at.height), columns(surface.size(2), at.width);
  if (gradients.masked) gradients.masked = torch::stable::contiguous(*gradients.masked, at.format());
  if (gradients.map) gradients.map = torch::stable::contiguous(*gradients.map);
  const std::vector<A> intervals = with_type(images.scalar_type(), [&](auto type) {
    return to_cells<typename decltype(type)::type, A>(
        gradients, torch::stable::contiguous(images, at.format()), at, rows, columns);
  });
  std::vector<A> coarse(at.batch * cells), offsets(at.batch);
  parallel(at.batch, [&](int64_t image) {
    const A* values = read<A>(surface) + image * cells;
    std::vector<double> sums(cells);
    fold(intervals.data() + image * 2 * cells, rows.cells(), columns.cells(), sums.data());
    if (kind != Normalization::sigmoid) unscale(values, kind, rows, columns, sums.data());
    double offset = 0;  // sum over channels of weights x dL/dweights
    for (int64_t i = 0; i < cells; ++i) {
      coarse[image * cells + i] = A(sums[i]);
      offset += values[i] * sums[i];
    }
    offsets[image] = A(offset);
  });
  const Tensor gradient = result(weights.sizes(), scalar_type<A>(), images);
  with_type(features.scalar_type(), [&](auto type) {
    project<typename decltype(type)::type, A>(torch::stable::contiguous(features), weights, coarse, offsets,
                                              write<A>(gradient));
  });
  return gradient;
}

Tensor saliency_mask_backward(std::optional<Tensor> grad_masked, std::optional<Tensor> grad_map, Tensor features,
                              Tensor images, Tensor saliency_map, Tensor weights, Tensor surface,
                              std::string normalization) {
  check_features(features, images);
  const Normalization kind = normalization_of(normalization);
  const bool logistic = kind == Normalization::sigmoid;
  return with_sum_type(surface, weights, [&](auto type) {
    using A = typename decltype(type)::type;
    check_saved<A>(grad_masked, grad_map, features, images, saliency_map, weights, surface);
    Gradients gradients{grad_masked, grad_map, torch::stable::contiguous(saliency_map), logistic};
    return run<A>(gradients, features, images, torch::stable::contiguous(weights),
                  torch::stable::contiguous(surface), kind);
  });
}

}  // namespace opticam
