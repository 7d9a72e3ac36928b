// The loops of `loops.h` for what the compiler targets by default.
// Chosen by `select.cpp` on every processor that has nothing wider.

#include "loops.h"
#include "../../common/stable.h"

namespace opticam::baseline {
#include "loops_table.inl.h"
}
