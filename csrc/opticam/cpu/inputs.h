// What the masking operations accept, as opticam/masking/inputs.py tells users in better words. No formula.
// For every masking operation, once a call.
#pragma once

#include "tensors.h"
#include "../../common/checks.h"

namespace opticam {

inline void check_features(const Tensor& features, const Tensor& images) {
  STD_TORCH_CHECK(is_floating(images) && has_sizes(images, {ANY, SOME, SOME, SOME}) && images.size(1) <= 4,
                  "images: expected floating point [B,C,H,W] of 1 to 4 colours");
  STD_TORCH_CHECK(is_floating(features) && (has_sizes(features, {images.size(0), SOME, SOME, SOME}) ||
                                            has_sizes(features, {1, SOME, SOME, SOME})),
                  "features: expected floating point [B,K,h,w] or [1,K,h,w] for images [B,C,H,W]");
}

inline void check_logits(const Tensor& logits, const Tensor& features, const Tensor& images) {
  STD_TORCH_CHECK(is_floating(logits) && has_sizes(logits, {images.size(0), features.size(1)}),
                  "logits_u: expected floating point [B,K], one number a channel of each image");
}

// Those of a way back, beside features and images; sums and the map are of type A.
template <class A>
void check_saved(const OptionalTensor& grad_masked, const OptionalTensor& grad_map, const Tensor& features,
                 const Tensor& images, const Tensor& saliency_map, const Tensor& weights, const Tensor& surface) {
  constexpr ScalarType dtype = scalar_type<A>();
  const auto is_map = [&](const Tensor& map) {
    return map.scalar_type() == dtype && has_sizes(map, {images.size(0), images.size(2), images.size(3)});
  };
  STD_TORCH_CHECK(is_map(saliency_map) && (!grad_map || is_map(*grad_map)),
                  "saliency_map, grad_map: expected [B,H,W] of the images, in the dtype of the sums");
  STD_TORCH_CHECK(weights.scalar_type() == dtype && has_sizes(weights, {images.size(0), features.size(1)}),
                  "weights: expected [B,K], in the dtype of the sums");
  STD_TORCH_CHECK(surface.scalar_type() == dtype &&
                      has_sizes(surface, {images.size(0), features.size(2), features.size(3)}),
                  "surface: expected [B,h,w] of the features, in the dtype of the sums");
  STD_TORCH_CHECK(!grad_masked || (grad_masked->scalar_type() == images.scalar_type() &&
                                   has_sizes(*grad_masked, {images.size(0), images.size(1), images.size(2),
                                                            images.size(3)})),
                  "grad_masked: expected the images' dtype and shape");
}

inline void check_channels(const Tensor& channels, const Tensor& features, const Tensor& images) {
  STD_TORCH_CHECK(channels.scalar_type() == ScalarType::Long && has_sizes(channels, {images.size(0), ANY}),
                  "channels: expected int64 [B,k]");
  const Tensor numbers = torch::stable::contiguous(channels);
  const int64_t* const first = read<int64_t>(numbers);
  for (const int64_t* channel = first; channel < first + numbers.numel(); ++channel)
    STD_TORCH_CHECK(0 <= *channel && *channel < features.size(1), "channel ", *channel, " is not one of ",
                    features.size(1));
}

inline void check_step_masks(const Tensor& ranks, const Tensor& images, const Tensor& baseline, const Tensor& steps) {
  STD_TORCH_CHECK(is_floating(images) && has_sizes(images, {ANY, ANY, ANY, ANY}),
                  "images: expected floating point [B,C,H,W]");
  STD_TORCH_CHECK(is_whole(ranks) && has_sizes(ranks, {images.size(0), images.size(2), images.size(3)}),
                  "ranks: expected integers [B,H,W] of the images");
  STD_TORCH_CHECK(baseline.scalar_type() == images.scalar_type() && has_sizes(baseline, {ANY, ANY, ANY, ANY}),
                  "baseline: expected four axes, in the images' dtype");
  for (int axis = 0; axis < 4; ++axis)
    STD_TORCH_CHECK(baseline.size(axis) == 1 || baseline.size(axis) == images.size(axis),
                    "baseline: expected the images' sizes, or 1");
  STD_TORCH_CHECK(steps.scalar_type() == ScalarType::Long && has_sizes(steps, {ANY}), "steps: expected int64 [t]");
}

}  // namespace opticam
