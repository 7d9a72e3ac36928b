// Which loops suit the processor: AVX-512, with products of pairs where it has them, AVX2 or the baseline.
// Chosen once, when they are first asked for; DPNET_CPU_INSTRUCTIONS = avx512, avx2 or baseline asks for less.
#include <string>

#include "../../common/instruction_sets.h"
#include "loops.h"

namespace dpnet {

using namespace common;

#define DPNET_DECLARE(set)             \
  Loops<float> set##_loops_float();    \
  Loops<double> set##_loops_double();
DPNET_DECLARE(baseline)
DPNET_DECLARE(avx2)
DPNET_DECLARE(avx512)
PairLoops avx512vnni_loops();
ScreenLoops avx512vnni_screen();

namespace {

constexpr const char* VARIABLE = "DPNET_CPU_INSTRUCTIONS";

[[maybe_unused]] Level level() {
  static const Level chosen = level_within(VARIABLE, "baseline");
  return chosen;
}

// Whether AVX-512 may be used with whatever the processor adds to it for products of pairs.
[[maybe_unused]] bool extended() {
  static const bool chosen = level() == Level::avx512 && !asks_for(VARIABLE, "avx512");
  return chosen;
}

}  // namespace

#if HAS_X86_TARGETS
#define DPNET_CHOOSE(T)                                   \
  level() == Level::avx512 ? avx512_loops_##T()           \
  : level() == Level::avx2 ? avx2_loops_##T() : baseline_loops_##T()
#else
#define DPNET_CHOOSE(T) baseline_loops_##T()
#endif

template <>
const Loops<float>& loops<float>() {
  static const Loops<float> chosen = DPNET_CHOOSE(float);
  return chosen;
}

template <>
const Loops<double>& loops<double>() {
  static const Loops<double> chosen = DPNET_CHOOSE(double);
  return chosen;
}

const PairLoops* pair_loops() {
#if HAS_AVX512VNNI
  if (extended() && __builtin_cpu_supports("avx512vnni")) {
    static const PairLoops chosen = avx512vnni_loops();
    return &chosen;
  }
#endif
  return nullptr;
}

const ScreenLoops* screen_loops() {
#if HAS_AVX512VNNI
  if (pair_loops()) {
    static const ScreenLoops chosen = avx512vnni_screen();
    return &chosen;
  }
#endif
  return nullptr;
}

const char* instruction_names() {
  static const std::string names = std::string(loops<float>().instructions) + (pair_loops() ? "+vnni" : "");
  return names.c_str();
}

}  // namespace dpnet
