// The loops of `loops.h` in 16-byte vectors, which every 64-bit target has (SSE2, NEON).
// Chosen by `select.cpp` on every processor that has nothing wider.
#include "loops.h"

#define DPNET_INSTRUCTIONS baseline
#define DPNET_VECTOR_BYTES 16
#if defined(__aarch64__)
#define DPNET_VECTORS 4
#else
#define DPNET_VECTORS 2
#endif
#include "vector_loops.h"

namespace dpnet {
Loops<float> baseline_loops_float() { return baseline::table<float>("baseline"); }
Loops<double> baseline_loops_double() { return baseline::table<double>("baseline"); }
}  // namespace dpnet
