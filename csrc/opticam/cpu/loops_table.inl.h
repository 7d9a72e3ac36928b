// Compiles every loop for one instruction set, inside its namespace and with its target options in force; no formula.
// For `loops_*.cpp`. Nothing from the standard library is used in the loops, because a template shared with another
// file could be linked from here into code for a lesser processor.

#include "numbers.inl.h"
#include "loops_map.inl.h"
#include "loops_typed.inl.h"
#include "loops_convolution.inl.h"
#include "loops_tiles.inl.h"

template <class A>
const MapLoops<A>& maps() {
  static constexpr MapLoops<A> table{widen<A>, narrow<A>, extremes<A>, logistic<A>, slope<A>};
  return table;
}

template <class T, class A>
const TypedLoops<T, A>& typed() {
  static constexpr TypedLoops<T, A> table{combine<T, A>, project<T, A>, convert<T, A>,
                                          mask<T, A>,    collect<T, A>, collect_general<T, A>};
  return table;
}

template <class Bits, class Rank>
SelectLoops<Bits, Rank> select() {
  return {below<Bits, Rank>, blend<Bits>};
}

#define OPTICAM_MAPS(A) template const MapLoops<A>& maps<A>();
#define OPTICAM_TYPED(T, A) template const TypedLoops<T, A>& typed<T, A>();
#define OPTICAM_CHOICE(Bits, Rank) template SelectLoops<Bits, Rank> select<Bits, Rank>();
OPTICAM_MAP_TYPES(OPTICAM_MAPS)
OPTICAM_TYPED_TYPES(OPTICAM_TYPED)
OPTICAM_SELECT_TYPES(OPTICAM_CHOICE)
