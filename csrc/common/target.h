// Compiling part of a file for a richer instruction set than the rest of it, where the compiler can.
// For the `loops_*.cpp` of both extensions: x86-64 with GCC or Clang; elsewhere only the baseline loops exist.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define HAS_X86_TARGETS 1
#else
#define HAS_X86_TARGETS 0
#endif

#if HAS_X86_TARGETS && (defined(__clang__) || __GNUC__ >= 8)
#define HAS_AVX512VNNI 1  // the compiler knows it, that is
#else
#define HAS_AVX512VNNI 0
#endif

#define TARGET_AVX2 "avx2,fma"
#define TARGET_AVX512 "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"

#define TARGET_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TARGET_BEGIN(options) \
  TARGET_PRAGMA(clang attribute push(__attribute__((target(options))), apply_to = function))
#define TARGET_END TARGET_PRAGMA(clang attribute pop)
#else
#define TARGET_BEGIN(options) TARGET_PRAGMA(GCC push_options) TARGET_PRAGMA(GCC target(options))
#define TARGET_END TARGET_PRAGMA(GCC pop_options)
#endif
