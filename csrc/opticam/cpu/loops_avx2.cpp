// The loops of `loops.h` for x86-64 with AVX2.
// Chosen by `select.cpp` on processors with AVX2 and FMA that lack AVX-512.

#include "loops.h"
#include "../../common/stable.h"
#include "../../common/target.h"

#if HAS_X86_TARGETS
TARGET_BEGIN(TARGET_AVX2)
namespace opticam::avx2 {
#define OPTICAM_VECTOR_BYTES 32
#define OPTICAM_ROW_PIXELS 6
#include "loops_table.inl.h"
}
TARGET_END
#endif
