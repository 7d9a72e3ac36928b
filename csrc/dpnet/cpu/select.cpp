// Which loops suit the processor. DPNET_CPU_INSTRUCTIONS = avx512, avx2 or baseline asks for less than it can.
#include <cstdlib>
#include <string>

#include "loops.h"

namespace dpnet {

Loops<float> baseline_loops_float();
Loops<double> baseline_loops_double();

namespace {

// The last is AVX-512 with whatever the processor adds to it for products of pairs.
enum class Level { baseline, avx2, avx512, extended };

Level wanted() {
  const char* value = std::getenv("DPNET_CPU_INSTRUCTIONS");
  const std::string name = value ? value : "";
  if (name == "baseline") return Level::baseline;
  if (name == "avx2") return Level::avx2;
  return name == "avx512" ? Level::avx512 : Level::extended;
}

}  // namespace

#if defined(__x86_64__)

Loops<float> avx2_loops_float();
Loops<double> avx2_loops_double();
Loops<float> avx512_loops_float();
Loops<double> avx512_loops_double();
PairLoops<Pair> avx512bf16_loops();
PairLoops<WholePair> avx512vnni_loops();
ScreenLoops avx512vnni_screen();

namespace {

Level supported() {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Level::baseline;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
    return Level::avx2;
  return Level::extended;
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

template <>
const PairLoops<Pair>* pair_loops<Pair>() {
#if defined(__clang__) || __GNUC__ >= 10
  if (level() < Level::extended || !__builtin_cpu_supports("avx512bf16")) return nullptr;
  static const PairLoops<Pair> chosen = avx512bf16_loops();
  return &chosen;
#else
  return nullptr;
#endif
}

template <>
const PairLoops<WholePair>* pair_loops<WholePair>() {
#if defined(__clang__) || __GNUC__ >= 8
  if (level() < Level::extended || !__builtin_cpu_supports("avx512vnni")) return nullptr;
  static const PairLoops<WholePair> chosen = avx512vnni_loops();
  return &chosen;
#else
  return nullptr;
#endif
}

const ScreenLoops* screen_loops() {
#if defined(__clang__) || __GNUC__ >= 8
  if (pair_loops<WholePair>() == nullptr) return nullptr;
  static const ScreenLoops chosen = avx512vnni_screen();
  return &chosen;
#else
  return nullptr;
#endif
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

template <>
const PairLoops<Pair>* pair_loops<Pair>() {
  return nullptr;
}

template <>
const PairLoops<WholePair>* pair_loops<WholePair>() {
  return nullptr;
}

const ScreenLoops* screen_loops() { return nullptr; }

#endif

const char* instruction_names() {
  static const std::string names = std::string(loops<float>().instructions) + (pair_loops<Pair>() ? "+bf16" : "") +
                                   (screen_loops() ? "+vnni" : "");
  return names.c_str();
}

}  // namespace dpnet
