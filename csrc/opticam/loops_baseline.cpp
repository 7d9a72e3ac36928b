// The loops for any processor the compiler targets by default.

#include "kernel_table.h"
#include "stable.h"

namespace opticam::baseline {
#include "loops_table.inl.h"
}
