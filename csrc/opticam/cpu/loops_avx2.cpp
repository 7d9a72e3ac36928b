// The loops for processors with AVX2.

#include "loops.h"
#include "../stable.h"
#include "target.h"

#if OPTICAM_HAS_X86_TARGETS
OPTICAM_TARGET_BEGIN(OPTICAM_AVX2)
namespace opticam::avx2 {
#include "loops_table.inl.h"
}
OPTICAM_TARGET_END
#endif
