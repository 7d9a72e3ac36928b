// The loops of `loops.h` for x86-64 with AVX-512.
// Chosen by `select.cpp` on processors with AVX-512 F, DQ, BW and VL.

#include "loops.h"
#include "../../common/stable.h"
#include "../../common/target.h"

#if HAS_X86_TARGETS
TARGET_BEGIN(TARGET_AVX512)
namespace opticam::avx512 {
#define OPTICAM_VECTOR_BYTES 64
#define OPTICAM_ROW_PIXELS 12
#include "loops_table.inl.h"
}
TARGET_END
#endif
