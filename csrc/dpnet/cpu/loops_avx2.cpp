// The loops of `loops.h` for x86-64 with AVX2: 8 floats a vector, 16 registers.
// Chosen by `select.cpp` on processors with AVX2 and FMA that lack AVX-512.
#include "../../common/target.h"
#include "loops.h"

#if HAS_X86_TARGETS
TARGET_BEGIN(TARGET_AVX2)

#define DPNET_INSTRUCTIONS avx2
#define DPNET_VECTOR_BYTES 32
#define DPNET_VECTORS 2
#include "vector_loops.h"

namespace dpnet {
Loops<float> avx2_loops_float() { return avx2::table<float>("avx2"); }
Loops<double> avx2_loops_double() { return avx2::table<double>("avx2"); }
}  // namespace dpnet

TARGET_END
#endif
