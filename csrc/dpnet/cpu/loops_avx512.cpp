// The loops of `loops.h` for x86-64 with AVX-512: 16 floats a vector, 32 registers.
// Chosen by `select.cpp` on processors with AVX-512 F, DQ, BW and VL.
#include "../../common/target.h"
#include "loops.h"

#if HAS_X86_TARGETS
TARGET_BEGIN(TARGET_AVX512)

#define DPNET_INSTRUCTIONS avx512
#define DPNET_VECTOR_BYTES 64
#define DPNET_VECTORS 4
#include "vector_loops.h"

namespace dpnet {
Loops<float> avx512_loops_float() { return avx512::table<float>("avx512"); }
Loops<double> avx512_loops_double() { return avx512::table<double>("avx512"); }
}  // namespace dpnet

TARGET_END
#endif
