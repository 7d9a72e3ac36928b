// Instructions of compute capability 9.0: copies of whole tiles by one thread, barriers in shared memory that count
// bytes, products in flight. For `hopper_kernel.cuh`; DPNET_EMULATION names a header that does the same on the CPU.
#pragma once

#include "device.cuh"

#ifndef DPNET_EMULATION

#include <cuda.h>

namespace dpnet {

// A matrix in global memory whose tiles are copied with pieces of 16 bytes exchanged, as products read them.
using TileMap = CUtensorMap;
#define DPNET_TILE_MAP const __grid_constant__ dpnet::TileMap

using CopyBarrier = uint64_t;

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void init_barrier(CopyBarrier* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}

// What was initialised is seen by the copies.
__device__ __forceinline__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

__device__ __forceinline__ void arrive(CopyBarrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// Arrive, and let the phase last until so many bytes have been copied.
__device__ __forceinline__ void arrive_expecting(CopyBarrier* barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

// Wait for the end of a phase, of which 0 is the first and then 1 and 0 take turns.
__device__ __forceinline__ void wait_phase(CopyBarrier* barrier, int phase) {
  asm volatile(
      "{\n.reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra end;\n"
      "bra again;\n"
      "end:\n}" ::"r"(shared_address(barrier)),
      "r"(phase)
      : "memory");
}

// Begin to copy the map's tile at (element of a row, row); the barrier counts its bytes. Zeros where there is nothing.
__device__ __forceinline__ void copy_tile(char* shared, const TileMap& map, int element, int row,
                                          CopyBarrier* barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
          shared_address(shared)),
      "l"(&map), "r"(element), "r"(row), "r"(shared_address(barrier))
      : "memory");
}

// A factor of rows of 128 bytes, eight of which take 1024 bytes, pieces of 16 bytes exchanged; `row` may be advanced by
// whole steps of 32 bytes.
__device__ __forceinline__ uint64_t factor(const char* row) {
  constexpr uint64_t exchanged_by_128 = uint64_t(1) << 62, eight_rows = uint64_t(1024 / 16) << 32;
  return exchanged_by_128 | eight_rows | (uint64_t(1) << 16) | ((shared_address(row) & 0x3ffff) >> 4);
}

// What was written to shared memory is seen by the products that begin after the next barrier.
__device__ __forceinline__ void publish_writes() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Registers that were written are seen by the products that begin now.
__device__ __forceinline__ void order_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Wait until at most `pending` groups of products are under way.
template <int pending>
__device__ __forceinline__ void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

// The compiler must not move these sums across this place: products write them without its knowledge.
template <int eights>
__device__ __forceinline__ void pin(float (&sums)[eights][4]) {
#pragma unroll
  for (int e = 0; e < eights; ++e)
#pragma unroll
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sums[e][i])::"memory");
}

// Hand registers from warps that copy to warps that multiply.
template <int count>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(count));
}
template <int count>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(count));
}

// A barrier of `threads` threads of a block.
template <int number, int threads>
__device__ __forceinline__ void wait_for() {
  asm volatile("bar.sync %0, %1;" ::"n"(number), "n"(threads) : "memory");
}

}  // namespace dpnet

#endif
