// Which loops suit the processor. DPNET_CPU_INSTRUCTIONS = avx512, avx2 or baseline asks for less than it can.
#include <cstdlib>
#include <string>

#include "loops.h"

namespace dpnet {

Loops<float> baseline_loops_float();
Loops<double> baseline_loops_double();

namespace {

enum class Level { baseline, avx2, avx512, avx512bf16 };

Level wanted() {
  const char* value = std::getenv("DPNET_CPU_INSTRUCTIONS");
  const std::string name = value ? value : "";
  if (name == "baseline") return Level::baseline;
  if (name == "avx2") return Level::avx2;
  return name == "avx512" ? Level::avx512 : Level::avx512bf16;
}

}  // namespace

#if defined(__x86_64__)

Loops<float> avx2_loops_float();
Loops<double> avx2_loops_double();
Loops<float> avx512_loops_float();
Loops<double> avx512_loops_double();
PairLoops avx512bf16_loops();

namespace {

Level supported() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Level::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
    return Level::avx2;
#if defined(__clang__) || __GNUC__ >= 10
  if (__builtin_cpu_supports("avx512bf16")) return Level::avx512bf16;
#endif
  return Level::avx512;
}

Level level() {
  static const Level chosen = wanted() < supported() ? wanted() : supported();
  return chosen;
}

}  // namespace

template <>
const Loops<float>& loops<float>() {
  static const Loops<float> chosen = level() >= Level::avx512 ? avx512_loops_float()
                                     : level() == Level::avx2 ? avx2_loops_float()
                                                              : baseline_loops_float();
  return chosen;
}

template <>
const Loops<double>& loops<double>() {
  static const Loops<double> chosen = level() >= Level::avx512 ? avx512_loops_double()
                                      : level() == Level::avx2 ? avx2_loops_double()
                                                               : baseline_loops_double();
  return chosen;
}

const PairLoops* pair_loops() {
#if defined(__clang__) || __GNUC__ >= 10
  static const PairLoops pairs = avx512bf16_loops();
  if (level() == Level::avx512bf16) return &pairs;
#endif
  return nullptr;
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

const PairLoops* pair_loops() { return nullptr; }

#endif

const char* instruction_names() { return pair_loops() ? "avx512+bf16" : loops<float>().instructions; }

}  // namespace dpnet
