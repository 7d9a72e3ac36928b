// Scores and argmax of float32 similarities, most of which are only bounded.
#pragma once

#include "../operations.h"

namespace dpnet {

// Whether the processor has the screen's product and regions of these sizes gain from it.
bool screens(const Tensor& regions);

Outputs screened_forward(const Tensor& parts, const Tensor& regions);

}  // namespace dpnet
