// The loops for processors with AVX-512.

#include "loops.h"
#include "../stable.h"
#include "target.h"

#if OPTICAM_HAS_X86_TARGETS
OPTICAM_TARGET_BEGIN(OPTICAM_AVX512)
namespace opticam::avx512 {
#include "loops_table.inl.h"
}
OPTICAM_TARGET_END
#endif
