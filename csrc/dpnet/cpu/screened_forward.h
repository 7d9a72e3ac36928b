// Scores max_r <x_r, w_p> and argmax of float32 similarities, most of which are only bounded.
// `screens` says for which regions it is chosen.
#pragma once

#include "../operations.h"

namespace dpnet {

// Whether the processor has the screen's product and regions of these sizes gain from it.
bool screens(const Tensor& regions);

Outputs screened_forward(const Tensor& parts, const Tensor& regions);

}  // namespace dpnet
