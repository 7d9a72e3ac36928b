// Reading and writing the types images and features come in; 16-bit numbers are rounded to nearest, ties to even.
// For every loop over them: written on whole words without branches, so that a compiler vectorises the loops around
// them on any instruction set.

inline uint32_t bits_of(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

template <class A>
A load(float value) {
  return A(value);
}

template <class A>
A load(double value) {
  return A(value);
}

template <class A>
A load(BFloat16 value) {
  return A(float_of(uint32_t(value.x) << 16));
}

template <class A>
A load(Half value) {
  const uint32_t magnitude = uint32_t(value.x & 0x7fff) << 13, sign = uint32_t(value.x & 0x8000) << 16;
  const uint32_t finite = bits_of(float_of(magnitude) * float_of(0x77800000));  // x 2^112 moves the exponent
  const uint32_t special = magnitude | 0x7f800000;                             // infinity or NaN
  return A(float_of(sign | (magnitude >= 0x0f800000 ? special : finite)));
}

// Each rounds to nearest, ties to even.
template <class T, class A>
struct Store {
  static T from(A value) { return T(value); }
};

template <class A>
struct Store<BFloat16, A> {
  static BFloat16 from(A wide) {
    const float value = float(wide);
    const uint32_t bits = bits_of(value), rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    BFloat16 result;
    result.x = uint16_t(value != value ? 0x7fc0 : rounded);
    return result;
  }
};

template <class A>
struct Store<Half, A> {
  static Half from(A wide) {
    const uint32_t bits = bits_of(float(wide)), sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffff;
    const uint32_t normal = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000;  // adding rounds to 2^-24
    const uint32_t special = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
    const uint32_t finite = magnitude < 0x38800000 ? subnormal : normal;
    Half result;
    result.x = uint16_t(sign | (magnitude >= 0x47800000 ? special : finite));
    return result;
  }
};
