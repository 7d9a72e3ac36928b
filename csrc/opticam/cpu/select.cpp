// Chooses the loops for the processor this runs on. PyTorch's own switch ATEN_CPU_CAPABILITY lowers the choice.

#include <cstdlib>
#include <cstring>

#include "loops.h"
#include "../stable.h"
#include "target.h"

namespace opticam {

#define OPTICAM_DECLARE(set)                          \
  namespace set {                                     \
  template <class A>                                  \
  const MapLoops<A>& maps();                          \
  template <class T, class A>                         \
  const TypedLoops<T, A>& typed();                    \
  template <class Bits, class Rank>                   \
  SelectLoops<Bits, Rank> select();                    \
  }
OPTICAM_DECLARE(baseline)
OPTICAM_DECLARE(avx2)
OPTICAM_DECLARE(avx512)

enum class Level { baseline, avx2, avx512 };

static Level allowed() {
  const char* capability = std::getenv("ATEN_CPU_CAPABILITY");
  if (capability && !std::strcmp(capability, "default")) return Level::baseline;
  if (capability && !std::strcmp(capability, "avx2")) return Level::avx2;
  return Level::avx512;
}

static Level detect() {
#if OPTICAM_HAS_X86_TARGETS
  __builtin_cpu_init();
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  if (avx512 && allowed() == Level::avx512) return Level::avx512;
  if (avx2 && allowed() != Level::baseline) return Level::avx2;
#endif
  return Level::baseline;
}

static Level level() {
  static const Level chosen = detect();
  return chosen;
}

const char* instruction_set() {
  constexpr const char* names[] = {"baseline", "AVX2", "AVX-512"};
  return names[int(level())];
}

#if OPTICAM_HAS_X86_TARGETS
#define OPTICAM_CHOOSE(...)                                    \
  if (level() == Level::avx512) return avx512::__VA_ARGS__;    \
  if (level() == Level::avx2) return avx2::__VA_ARGS__;        \
  return baseline::__VA_ARGS__
#else
#define OPTICAM_CHOOSE(...) return baseline::__VA_ARGS__
#endif

template <class A>
const MapLoops<A>& map_loops() {
  OPTICAM_CHOOSE(maps<A>());
}

template <class T, class A>
const TypedLoops<T, A>& typed_loops() {
  OPTICAM_CHOOSE(typed<T, A>());
}

template <class Bits, class Rank>
SelectLoops<Bits, Rank> select_loops() {
  OPTICAM_CHOOSE(select<Bits, Rank>());
}

#define OPTICAM_MAPS(A) template const MapLoops<A>& map_loops<A>();
#define OPTICAM_TYPED(T, A) template const TypedLoops<T, A>& typed_loops<T, A>();
#define OPTICAM_CHOICE(Bits, Rank) template SelectLoops<Bits, Rank> select_loops<Bits, Rank>();
OPTICAM_MAP_TYPES(OPTICAM_MAPS)
OPTICAM_TYPED_TYPES(OPTICAM_TYPED)
OPTICAM_SELECT_TYPES(OPTICAM_CHOICE)

}  // namespace opticam
