#ifndef ECHOFORGE_VECTORS_H_
#define ECHOFORGE_VECTORS_H_

#include <immintrin.h>

#include <cstdint>
#include <cstring>

// For plain loops over floats that the compiler turns into vectors.
#define FAST __attribute__((target("avx512f"), optimize("O3", "no-math-errno")))
// For functions on vectors of 16 floats. Nothing of bfloat16 is emitted where its intrinsics are not used.
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace tfnodejs {

constexpr int kLanes = 16;

// A bfloat16: the upper half of a float.
using Half = uint16_t;

// As many values as one instruction multiplies and adds per lane.
template <typename Element>
constexpr int kDepth = sizeof(float) / sizeof(Element);

inline bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
inline bool HasBfloat16() { return HasAvx512() && __builtin_cpu_supports("avx512bf16"); }

AVX512 inline void Store(float *to, __mmask16 mask, __m512 values) { _mm512_mask_storeu_ps(to, mask, values); }
AVX512 inline void Store(Half *to, __mmask16 mask, __m512 values) {
  _mm256_mask_storeu_epi16(to, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(values)));
}

// Pairs (first, second) of 16 lanes.
AVX512 inline void StorePairs(Half *to, __m512 first, __m512 second) {
  const __m512i low = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(first)));
  const __m512i high = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(second)));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// sums + value * row, where value is one element, or a pair of halves, in all lanes.
AVX512 inline __m512 MultiplyAdd(const float *value, const float *row, __m512 sums) {
  return _mm512_fmadd_ps(_mm512_set1_ps(*value), _mm512_loadu_ps(row), sums);
}
AVX512 inline __m512 MultiplyAdd(const Half *value, const Half *row, __m512 sums) {
  int32_t pair;
  std::memcpy(&pair, value, sizeof(pair));
  const __m512i pairs = _mm512_loadu_si512(row);
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)), reinterpret_cast<__m512bh>(pairs));
}

}  // namespace tfnodejs

#endif  // ECHOFORGE_VECTORS_H_
