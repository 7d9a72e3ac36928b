// Which table of loops suits the processor. DPNET_CPU_INSTRUCTIONS=avx2 or baseline asks for less than it can.
#include <cstdlib>
#include <string>

#include "loops.h"

namespace dpnet {

Loops<float> baseline_loops_float();
Loops<double> baseline_loops_double();

#if defined(__x86_64__)
Loops<float> avx2_loops_float();
Loops<double> avx2_loops_double();
Loops<float> avx512_loops_float();
Loops<double> avx512_loops_double();

namespace {

enum class Level { baseline, avx2, avx512 };

Level level() {
  const char* wanted = std::getenv("DPNET_CPU_INSTRUCTIONS");
  const std::string limit = wanted ? wanted : "avx512";
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (avx2 && avx512 && limit == "avx512") return Level::avx512;
  return avx2 && limit != "baseline" ? Level::avx2 : Level::baseline;
}

}  // namespace

template <>
const Loops<float>& loops<float>() {
  static const Loops<float> chosen = level() == Level::avx512 ? avx512_loops_float()
                                     : level() == Level::avx2 ? avx2_loops_float()
                                                              : baseline_loops_float();
  return chosen;
}

template <>
const Loops<double>& loops<double>() {
  static const Loops<double> chosen = level() == Level::avx512 ? avx512_loops_double()
                                      : level() == Level::avx2 ? avx2_loops_double()
                                                               : baseline_loops_double();
  return chosen;
}

#else

template <>
const Loops<float>& loops<float>() {
  static const Loops<float> chosen = baseline_loops_float();
  return chosen;
}

template <>
const Loops<double>& loops<double>() {
  static const Loops<double> chosen = baseline_loops_double();
  return chosen;
}

#endif

}  // namespace dpnet
