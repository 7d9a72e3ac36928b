// The masking step x * n(up(sum_k softmax(u)_k A^k)) on CPU tensors, and its relatives; opticam/masking/ops.py: schemas.
// Features [B,K,h,w], images [B,C,H,W] of any size that `opticam/masking/inputs.py` accepts.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "../common/stable.h"

namespace opticam {

using Masked = std::tuple<Tensor, Tensor, Tensor, Tensor>;  // masked, saliency_map, weights, surface

Masked saliency_mask(Tensor features, Tensor logits, Tensor images, std::string normalization);
Tensor saliency_mask_backward(std::optional<Tensor> grad_masked, std::optional<Tensor> grad_map, Tensor features,
                              Tensor images, Tensor saliency_map, Tensor weights, Tensor surface,
                              std::string normalization);
Tensor channel_masks(Tensor features, Tensor images, Tensor channels);
Tensor step_masks(Tensor ranks, Tensor images, Tensor baseline, Tensor steps);

// Float64 convolutions, channels last; weights [blocks,positions,C,16], opticam/acceleration/float64_convolution.py.
Tensor convolution(Tensor images, Tensor weights, Tensor bias, int64_t outputs, std::vector<int64_t> kernel,
                   std::vector<int64_t> stride, std::vector<int64_t> padding, std::vector<int64_t> dilation);
Tensor convolution_backward(Tensor gradient, Tensor weights, int64_t inputs, std::vector<int64_t> sides,
                            std::vector<int64_t> kernel, std::vector<int64_t> stride, std::vector<int64_t> padding,
                            std::vector<int64_t> dilation);
// The same of 3 x 3 in steps of 1, by weights [blocks,16,C,16] that are transformed; its gradient is one of it, too.
Tensor tiled_convolution(Tensor images, Tensor weights, Tensor bias, int64_t outputs, std::vector<int64_t> padding,
                         std::vector<int64_t> dilation);

}  // namespace opticam
