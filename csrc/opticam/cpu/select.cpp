// Which loops suit the processor: AVX-512, AVX2 or the baseline; no formula, every shape.
// Chosen once, when they are first asked for; PyTorch's own switch ATEN_CPU_CAPABILITY lowers the choice.

#include "../../common/instruction_sets.h"
#include "../../common/stable.h"
#include "loops.h"

namespace opticam {

#define OPTICAM_DECLARE(set)                          \
  namespace set {                                     \
  template <class A>                                  \
  const MapLoops<A>& maps();                          \
  template <class T, class A>                         \
  const TypedLoops<T, A>& typed();                    \
  template <class Bits, class Rank>                   \
  SelectLoops<Bits, Rank> select();                    \
  ConvolutionLoops convolution();                      \
  }
OPTICAM_DECLARE(baseline)
OPTICAM_DECLARE(avx2)
OPTICAM_DECLARE(avx512)

static Level level() {
  static const Level chosen = level_within("ATEN_CPU_CAPABILITY", "default");
  return chosen;
}

const char* instruction_set() {
  constexpr const char* names[] = {"baseline", "AVX2", "AVX-512"};
  return names[int(level())];
}

#if HAS_X86_TARGETS
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

ConvolutionLoops convolution_loops() {
  OPTICAM_CHOOSE(convolution());
}

#define OPTICAM_MAPS(A) template const MapLoops<A>& map_loops<A>();
#define OPTICAM_TYPED(T, A) template const TypedLoops<T, A>& typed_loops<T, A>();
#define OPTICAM_CHOICE(Bits, Rank) template SelectLoops<Bits, Rank> select_loops<Bits, Rank>();
OPTICAM_MAP_TYPES(OPTICAM_MAPS)
OPTICAM_TYPED_TYPES(OPTICAM_TYPED)
OPTICAM_SELECT_TYPES(OPTICAM_CHOICE)

}  // namespace opticam
