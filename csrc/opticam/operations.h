// The operations on CPU tensors; opticam/masking/schemas.py holds their schemas.
#pragma once

#include <optional>
#include <string>
#include <tuple>

#include "stable.h"

namespace opticam {

using Masked = std::tuple<Tensor, Tensor, Tensor, Tensor>;  // masked, saliency_map, weights, surface

Masked saliency_mask(Tensor features, Tensor logits, Tensor images, std::string normalization);
Tensor saliency_mask_backward(std::optional<Tensor> grad_masked, std::optional<Tensor> grad_map, Tensor features,
                              Tensor images, Tensor saliency_map, Tensor weights, Tensor surface,
                              std::string normalization);
Tensor channel_masks(Tensor features, Tensor images, Tensor channels);
Tensor step_masks(Tensor ranks, Tensor images, Tensor baseline, Tensor steps);

}  // namespace opticam
