// step_masks: x[p] where rank[p] < step, else baseline[p] (insertion, deletion).
// CPU tensors, any number of steps and pixels.

#include <vector>

#include "../operations.h"
#include "inputs.h"

namespace opticam {

// Elements from one index to the next along an axis, 0 where the axis is broadcast.
static int64_t step_of(const Tensor& tensor, int64_t axis) {
  return tensor.size(axis) == 1 ? 0 : tensor.stride(axis);
}

template <class Bits, class Rank>
static void run(const Tensor& ranks, const Tensor& images, const Tensor& baseline, const Tensor& steps,
                const Tensor& chosen) {
  const ImageLayout at(images);
  const int64_t count = steps.size(0), plane = at.height * at.width;
  const int64_t by_image = step_of(baseline, 0), by_colour = step_of(baseline, 1),
                by_row = step_of(baseline, 2), by_column = step_of(baseline, 3);
  const auto loops = select_loops<Bits, Rank>();
  parallel(at.batch * count, [&](int64_t task) {
    const int64_t image = task / count, step = read<int64_t>(steps)[task % count];
    std::vector<Bits> keep(at.width);
    for (int64_t row = 0; row < at.height; ++row) {
      loops.below(read<Rank>(ranks) + image * plane + row * at.width, step, at.width, keep.data());
      for (int64_t colour = 0; colour < at.colours; ++colour) {
        const int64_t pixel = colour * plane + row * at.width;
        const Bits* other =
            read<Bits>(baseline) + image * by_image + colour * by_colour + row * by_row;
        loops.blend(keep.data(), read<Bits>(images) + image * at.colours * plane + pixel, other, by_column, at.width,
                    write<Bits>(chosen) + task * at.colours * plane + pixel);
      }
    }
  });
}

template <class Bits>
static void with_rank(const Tensor& ranks, const Tensor& images, const Tensor& baseline, const Tensor& steps,
                      const Tensor& chosen) {
  if (ranks.scalar_type() == ScalarType::Int) return run<Bits, int32_t>(ranks, images, baseline, steps, chosen);
  run<Bits, int64_t>(torch::stable::to(ranks, ScalarType::Long), images, baseline, steps, chosen);
}

Tensor step_masks(Tensor ranks, Tensor images, Tensor baseline, Tensor steps) {
  check_step_masks(ranks, images, baseline, steps);
  const Tensor chosen = result({images.size(0), steps.size(0), images.size(1), images.size(2), images.size(3)},
                               images.scalar_type(), images);
  ranks = torch::stable::contiguous(ranks);
  images = torch::stable::contiguous(images);
  baseline = torch::stable::contiguous(baseline);
  steps = torch::stable::contiguous(steps);
  switch (images.element_size()) {
    case 2: with_rank<uint16_t>(ranks, images, baseline, steps, chosen); break;
    case 4: with_rank<uint32_t>(ranks, images, baseline, steps, chosen); break;
    default: with_rank<uint64_t>(ranks, images, baseline, steps, chosen);
  }
  return chosen;
}

}  // namespace opticam
