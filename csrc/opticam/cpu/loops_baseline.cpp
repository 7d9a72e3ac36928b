// The loops for any processor the compiler targets by default.

#include "loops.h"
#include "../stable.h"

namespace opticam::baseline {
#include "loops_table.inl.h"
}
