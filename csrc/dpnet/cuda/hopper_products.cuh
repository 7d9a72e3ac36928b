// Tensor-core products of compute capability 9.0: sums[64 x n] += A[64 x k] B[k x n], k being 32 bytes long, by the four
// warps of a warpgroup. For `hopper_kernel.cuh`, n of 128, 200 and 256; factors are read from shared memory.
//
// The products run on after the instruction: sums must not be touched between `begin_products` and `wait_products`.
#pragma once

#include "hopper_device.cuh"

#ifndef DPNET_EMULATION

namespace dpnet {

// The registers %0 to %(n / 2 - 1) hold the sums, eight columns in four; then come both factors and whether to add.
#define DPNET_REGISTERS_128 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28," \
  "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55," \
  "%56,%57,%58,%59,%60,%61,%62,%63"
#define DPNET_REGISTERS_200 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28," \
  "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55," \
  "%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82," \
  "%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99"
#define DPNET_REGISTERS_256 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28," \
  "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55," \
  "%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82," \
  "%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107," \
  "%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
#define DPNET_SUMS_4(e) "+f"(sums[e][0]), "+f"(sums[e][1]), "+f"(sums[e][2]), "+f"(sums[e][3])
#define DPNET_SUMS_20(e) \
  DPNET_SUMS_4(e), DPNET_SUMS_4(e + 1), DPNET_SUMS_4(e + 2), DPNET_SUMS_4(e + 3), DPNET_SUMS_4(e + 4)
#define DPNET_SUMS_32(e)                                                                                    \
  DPNET_SUMS_4(e), DPNET_SUMS_4(e + 1), DPNET_SUMS_4(e + 2), DPNET_SUMS_4(e + 3), DPNET_SUMS_4(e + 4),      \
      DPNET_SUMS_4(e + 5), DPNET_SUMS_4(e + 6), DPNET_SUMS_4(e + 7)
#define DPNET_ALL_128 DPNET_SUMS_32(0), DPNET_SUMS_32(8)
#define DPNET_ALL_200 DPNET_SUMS_20(0), DPNET_SUMS_20(5), DPNET_SUMS_20(10), DPNET_SUMS_20(15), DPNET_SUMS_20(20)
#define DPNET_ALL_256 DPNET_SUMS_32(0), DPNET_SUMS_32(8), DPNET_SUMS_32(16), DPNET_SUMS_32(24)
#define DPNET_FACTORS_128 "%64, %65, p, 1, 1", "%66"
#define DPNET_FACTORS_200 "%100, %101, p, 1, 1", "%102"
#define DPNET_FACTORS_256 "%128, %129, p, 1, 1", "%130"

// `tail`: halves may lie transposed, which these do not; TF32 may not, and has no such operand.
#define DPNET_WGMMA_OF(n, shape, factors, add, tail)                                                 \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " add ", 0;\nwgmma.mma_async.sync.aligned." shape \
               " {" DPNET_REGISTERS_##n "}, " factors tail ";\n}"                                     \
               : DPNET_ALL_##n                                                                        \
               : "l"(a), "l"(b), "r"(int(added)))
#define DPNET_WGMMA_WITH(...) DPNET_WGMMA_OF(__VA_ARGS__)
#define DPNET_WGMMA(n, k, types, tail) \
  DPNET_WGMMA_WITH(n, "m64n" #n "k" #k ".f32." types, DPNET_FACTORS_##n, tail)

// `added` is false where the sums begin with this product. Both kinds of float32 are multiplied as TF32: bits beyond it are
// left out, so that what is to be rounded must have been before.
template <Math math, int n>
__device__ __forceinline__ void begin_products(float (&sums)[n / 8][4], uint64_t a, uint64_t b, bool added) {
  static_assert(n == 128 || n == 200 || n == 256);
  if constexpr (math == Math::bf16 && n == 200) {
    DPNET_WGMMA(200, 16, "bf16.bf16", ", 0, 0");
  } else if constexpr (math == Math::bf16) {
    static_assert(n != 128);
    DPNET_WGMMA(256, 16, "bf16.bf16", ", 0, 0");
  } else if constexpr (math == Math::f16 && n == 200) {
    DPNET_WGMMA(200, 16, "f16.f16", ", 0, 0");
  } else if constexpr (math == Math::f16) {
    DPNET_WGMMA(256, 16, "f16.f16", ", 0, 0");
  } else if constexpr (n == 128) {
    DPNET_WGMMA(128, 8, "tf32.tf32", "");
  } else if constexpr (n == 200) {
    DPNET_WGMMA(200, 8, "tf32.tf32", "");
  } else {
    DPNET_WGMMA(256, 8, "tf32.tf32", "");
  }
}

}  // namespace dpnet

#endif
