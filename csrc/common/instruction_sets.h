// The level of vector instructions that loops are chosen by: the processor's, or less where a variable asks for less.
// For the `select.cpp` of both extensions, each of which keeps its own choice for as long as it is loaded.
#pragma once

#include <cstdlib>
#include <cstring>

#include "target.h"

namespace common {

enum class Level { baseline, avx2, avx512 };

// What the processor can run of what TARGET_AVX2 and TARGET_AVX512 compile.
inline Level processor_level() {
#if HAS_X86_TARGETS
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Level::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
    return Level::avx2;
  return Level::avx512;
#else
  return Level::baseline;
#endif
}

// Whether an environment variable has this value.
inline bool asks_for(const char* variable, const char* value) {
  const char* found = std::getenv(variable);
  return found && !std::strcmp(found, value);
}

// The lesser of the processor's level and the variable's, which is "avx2" or, for the baseline, `lowest`.
inline Level level_within(const char* variable, const char* lowest) {
  const Level found = processor_level();
  if (asks_for(variable, lowest)) return Level::baseline;
  return asks_for(variable, "avx2") && found > Level::avx2 ? Level::avx2 : found;
}

}  // namespace common
