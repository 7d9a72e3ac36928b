// Instructions beyond plain CUDA C++: asynchronous copies, matrix loads, tensor-core products D = A B + C, shuffles.
// For compute capability 8.0 and newer; DPNET_EMULATION names a header that does the same on the CPU, for tests.
#pragma once

#ifdef DPNET_EMULATION
#include DPNET_EMULATION
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace dpnet {

using bfloat16 = __nv_bfloat16;
using half = __half;

// How factors enter a product. Both kinds of float32 round to TF32; tf32x3 also multiplies what rounding lost.
enum class Math { bf16, f16, tf32, tf32x3 };

__device__ __forceinline__ char* dynamic_shared() {
  extern __shared__ __align__(128) char memory[];
  return memory;
}

// Copy 16 bytes to shared memory, zeros where `valid` is false; completes at `wait_copies`.
__device__ __forceinline__ void copy_async(char* shared, const char* global, bool valid) {
  const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid ? 16 : 0)
               : "memory");
}

__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most `pending` of this thread's groups of copies are under way.
template <int pending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

// Four 8 x 16-byte matrices; lane 8 j + i holds the address of row i of matrix j and gets 4 bytes of each.
__device__ __forceinline__ void load_matrices(uint32_t (&to)[4], const char* row) {
  const uint32_t from = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}

// sums[16 x 8] += a[16 x k] b[k x 8], where k is 32 bytes long.
#define DPNET_MMA(shape)                                                                               \
  asm volatile("mma.sync.aligned." shape " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])                            \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))
template <Math math>
__device__ __forceinline__ void multiply_add(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  if constexpr (math == Math::bf16) {
    DPNET_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
  } else if constexpr (math == Math::f16) {
    DPNET_MMA("m16n8k16.row.col.f32.f16.f16.f32");
  } else {
    DPNET_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
  }
}
#undef DPNET_MMA

// The bits of a float rounded to TF32 (10 bits of mantissa).
__device__ __forceinline__ uint32_t round_tf32(float value) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

template <class T>
__device__ __forceinline__ T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

// The bits of the lanes whose predicate holds.
__device__ __forceinline__ uint32_t ballot(bool predicate) { return __ballot_sync(0xffffffffu, predicate); }

__device__ __forceinline__ int lowest_bit(uint32_t bits) { return __ffs(bits) - 1; }

// 2^x, and 0 where that is no normal number, which one instruction gives.
__device__ __forceinline__ float power_of_two(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

__device__ __forceinline__ float exponential(float x) { return power_of_two(x * 1.44269504f); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }

// The larger of two numbers; of a number and NaN the number.
__device__ __forceinline__ float largest(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double largest(double a, double b) { return fmax(a, b); }

// The larger of two numbers, NaN where either is.
__device__ __forceinline__ float largest_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

__device__ __forceinline__ double to_float(double value) { return value; }
__device__ __forceinline__ float to_float(float value) { return value; }
__device__ __forceinline__ float to_float(bfloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float to_float(half value) { return __half2float(value); }

template <class T>
__device__ __forceinline__ T from_float(double value);
template <>
__device__ __forceinline__ double from_float<double>(double value) { return value; }
template <class T>
__device__ __forceinline__ T from_float(float value);
template <>
__device__ __forceinline__ float from_float<float>(float value) { return value; }
template <>
__device__ __forceinline__ bfloat16 from_float<bfloat16>(float value) { return __float2bfloat16(value); }
template <>
__device__ __forceinline__ half from_float<half>(float value) { return __float2half(value); }

}  // namespace dpnet

#endif
