// Compiling part of a file for a richer instruction set than the rest, where the compiler can.
#pragma once

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define OPTICAM_HAS_X86_TARGETS 1
#else
#define OPTICAM_HAS_X86_TARGETS 0
#endif

#define OPTICAM_AVX2 "avx2,fma,f16c"
#define OPTICAM_AVX512 "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c"

#define OPTICAM_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define OPTICAM_TARGET_BEGIN(options) \
  OPTICAM_PRAGMA(clang attribute push(__attribute__((target(options))), apply_to = function))
#define OPTICAM_TARGET_END OPTICAM_PRAGMA(clang attribute pop)
#else
#define OPTICAM_TARGET_BEGIN(options) OPTICAM_PRAGMA(GCC push_options) OPTICAM_PRAGMA(GCC target(options))
#define OPTICAM_TARGET_END OPTICAM_PRAGMA(GCC pop_options)
#endif
