// The loops of `loops.h` for what the compiler targets by default.
// Chosen by `select.cpp` on every processor that has nothing wider.

#include "loops.h"
#include "../../common/stable.h"

namespace opticam::baseline {
#define OPTICAM_VECTOR_BYTES 16
#define OPTICAM_ROW_PIXELS 6
#include "loops_table.inl.h"
}
