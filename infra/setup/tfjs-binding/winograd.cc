// 3x3 convolution with stride 1 by Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray 2016, "Fast Algorithms for
// Convolutional Neural Networks", section 4.1): 16 products where four outputs take 36. NHWC, float32. The gradient in the
// input is the same convolution with the filter turned and its channels exchanged.
//
// Of some tiles (winograd_tiles.h) all inputs are transformed into 16 matrices [tiles, Cin]; each is
// multiplied by its matrix [Cin, Cout] of transformed filters; the 16 products make the outputs. An output is the work of one
// thread, in one order, so its bits do not depend on how many there are.

#include "winograd.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "crew.h"
#include "winograd_tiles.h"

namespace tfnodejs {
namespace {

constexpr int kColumns = 64;    // output channels of a block
constexpr int kRows = 6;        // tiles that are multiplied at a time: 6 x 4 vectors of sums
constexpr int64_t kBlock = 60;  // tiles whose transforms lie in the cache together

// Blocks of output channels, and the channels of one.
int64_t BlocksOf(const Tiling &g) { return (g.cout + kColumns - 1) / kColumns; }
int64_t ColumnsOf(const Tiling &g, int64_t block) { return std::min<int64_t>(kColumns, g.cout - block * kColumns); }

// Filter of one input and 16 output channels, G g G' with G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1].
AVX512 inline void TransformFilter(const __m512 g[3][3], __m512 u[4][4]) {
  const __m512 half = _mm512_set1_ps(0.5f);
  __m512 rows[4][3];
  for (int j = 0; j < 3; j++) {
    const __m512 outer = _mm512_mul_ps(half, _mm512_add_ps(g[0][j], g[2][j]));
    const __m512 middle = _mm512_mul_ps(half, g[1][j]);
    rows[0][j] = g[0][j];
    rows[1][j] = _mm512_add_ps(outer, middle);
    rows[2][j] = _mm512_sub_ps(outer, middle);
    rows[3][j] = g[2][j];
  }
  for (int i = 0; i < 4; i++) {
    const __m512 outer = _mm512_mul_ps(half, _mm512_add_ps(rows[i][0], rows[i][2]));
    const __m512 middle = _mm512_mul_ps(half, rows[i][1]);
    u[i][0] = rows[i][0];
    u[i][1] = _mm512_add_ps(outer, middle);
    u[i][2] = _mm512_sub_ps(outer, middle);
    u[i][3] = rows[i][2];
  }
}

// The transformed filter of input channel `ci` and 16 output channels from `co`. `filter` is [3, 3, Cin, Cout] of this
// convolution, or [3, 3, Cout, Cin] of the one whose gradient this is.
template <bool TURNED>
AVX512 inline void FilterOf(const Tiling &g, const float *filter, int64_t ci, int64_t co, __m512 u[4][4]) {
  const int64_t plane = g.cin * g.cout;
  const __m512i apart = _mm512_mullo_epi32(_mm512_set1_epi32(static_cast<int>(g.cin)),
                                           _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  __m512 taps[3][3];
  for (int kh = 0; kh < 3; kh++)
    for (int kw = 0; kw < 3; kw++)
      taps[kh][kw] = TURNED ? _mm512_i32gather_ps(apart, filter + ((2 - kh) * 3 + 2 - kw) * plane + co * g.cin + ci, 4)
                            : _mm512_loadu_ps(filter + (kh * 3 + kw) * plane + ci * g.cout + co);
  TransformFilter(taps, u);
}

// Filters of the input channels [from, to) as [block of output channels][position][input channel][output channel of block],
// of halves [...][pair of input channels][output channel of block][2].
template <bool TURNED>
AVX512 void TransformFilters(const Tiling &g, const float *filter, float *transformed, int64_t from, int64_t to) {
  for (int64_t ci = from; ci < to; ci++)
    for (int64_t co = 0; co < g.cout; co += kLanes) {
      __m512 u[4][4];
      FilterOf<TURNED>(g, filter, ci, co, u);
      const int64_t block = co / kColumns, columns = ColumnsOf(g, block);
      float *const to_block = transformed + block * kPositions * g.cin * kColumns + co % kColumns;
      for (int p = 0; p < kPositions; p++) _mm512_storeu_ps(to_block + (p * g.cin + ci) * columns, u[p / 4][p % 4]);
    }
}

template <bool TURNED>
AVX512 void TransformFilters(const Tiling &g, const float *filter, Half *transformed, int64_t from, int64_t to) {
  for (int64_t ci = from; ci < to; ci += 2)
    for (int64_t co = 0; co < g.cout; co += kLanes) {
      __m512 first[4][4], second[4][4];
      FilterOf<TURNED>(g, filter, ci, co, first);
      FilterOf<TURNED>(g, filter, ci + 1, co, second);
      const int64_t block = co / kColumns, columns = ColumnsOf(g, block);
      Half *const to_block = transformed + block * kPositions * g.cin * kColumns + 2 * (co % kColumns);
      for (int p = 0; p < kPositions; p++)
        StorePairs(to_block + (p * g.cin + ci) * columns, first[p / 4][p % 4], second[p / 4][p % 4]);
    }
}

// product [R, 16 V] = a [R, depth] b [depth, 16 V]; of halves, b is [depth / 2, 16 V, 2]
template <typename Element, int R, int V>
AVX512 void Multiply(const Element *a, int64_t a_step, const Element *b, int64_t depth, float *product) {
  constexpr int kPair = kDepth<Element>;
  __m512 sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sums[r][v] = _mm512_setzero_ps();
  for (int64_t k = 0; k < depth; k += kPair, b += kLanes * kPair * V) {
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) sums[r][v] = MultiplyAdd(a + r * a_step + k, b + kLanes * kPair * v, sums[r][v]);
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) _mm512_storeu_ps(product + r * kLanes * V + kLanes * v, sums[r][v]);
}

template <typename Element>
using MultiplyFunction = void (*)(const Element *, int64_t, const Element *, int64_t, float *);

template <typename Element, int R>
MultiplyFunction<Element> MultiplyOf(int64_t vectors) {
  static const MultiplyFunction<Element> functions[4] = {Multiply<Element, R, 1>, Multiply<Element, R, 2>,
                                                         Multiply<Element, R, 3>, Multiply<Element, R, 4>};
  return functions[vectors - 1];
}

template <typename Element>
MultiplyFunction<Element> MultiplyFor(int64_t rows, int64_t columns) {
  static MultiplyFunction<Element> (*const functions[kRows])(int64_t) = {
      MultiplyOf<Element, 1>, MultiplyOf<Element, 2>, MultiplyOf<Element, 3>,
      MultiplyOf<Element, 4>, MultiplyOf<Element, 5>, MultiplyOf<Element, 6>};
  return functions[std::min<int64_t>(kRows, rows) - 1](columns / kLanes);
}

// A' m A, A' = [1 1 1 0; 0 1 -1 -1], of 16 channels: m + p * step is position p; pixels[4] are its outputs, null where outside.
AVX512 inline void TransformProduct(const float *m, int64_t step, float *const *pixels, int64_t offset) {
  __m512 rows[2][4];
  for (int j = 0; j < 4; j++) {
    const __m512 m0 = _mm512_loadu_ps(m + j * step), m1 = _mm512_loadu_ps(m + (4 + j) * step),
                 m2 = _mm512_loadu_ps(m + (8 + j) * step), m3 = _mm512_loadu_ps(m + (12 + j) * step);
    rows[0][j] = _mm512_add_ps(_mm512_add_ps(m0, m1), m2);
    rows[1][j] = _mm512_sub_ps(_mm512_sub_ps(m1, m2), m3);
  }
  for (int i = 0; i < 2; i++) {
    const __m512 *const r = rows[i];
    if (pixels[2 * i] != nullptr)
      _mm512_storeu_ps(pixels[2 * i] + offset, _mm512_add_ps(_mm512_add_ps(r[0], r[1]), r[2]));
    if (pixels[2 * i + 1] != nullptr)
      _mm512_storeu_ps(pixels[2 * i + 1] + offset, _mm512_sub_ps(_mm512_sub_ps(r[1], r[2]), r[3]));
  }
}

// Tiles [from, to).
template <typename Element>
void Tiles(const Tiling &g, const float *x, const Element *filters, float *y, int64_t from, int64_t to) {
  thread_local std::vector<Element> inputs_buffer;
  thread_local std::vector<float> products_buffer;
  const int64_t row = g.cin + kLanes;  // not a power of two, so that rows do not evict each other
  const int64_t position = kBlock * row;
  Element *const inputs = Scratch(inputs_buffer, kPositions * position);
  float *const products = Scratch(products_buffer, kPositions * kBlock * kColumns);
  const std::vector<float> zeros(g.cin, 0.0f);
  for (int64_t start = from; start < to; start += kBlock) {
    const int64_t count = std::min(kBlock, to - start);
    for (int64_t t = 0; t < count; t++) {
      const float *pixels[16];
      InputsOf(g, x, zeros.data(), start + t, pixels);
      TransformTile(pixels, g.cin, inputs + t * row, position);
    }
    for (int64_t block = 0; block < BlocksOf(g); block++) {
      const int64_t columns = ColumnsOf(g, block);
      const Element *const of_block = filters + block * kPositions * g.cin * kColumns;
      for (int p = 0; p < kPositions; p++)
        for (int64_t t = 0; t < count; t += kRows)
          MultiplyFor<Element>(count - t, columns)(inputs + p * position + t * row, row, of_block + p * g.cin * columns, g.cin,
                                                   products + (p * kBlock + t) * columns);
      for (int64_t t = 0; t < count; t++) {
        float *pixels[4];
        OutputsOf<float>(g, y, nullptr, start + t, pixels);
        for (int64_t c = 0; c < columns; c += kLanes)
          TransformProduct(products + t * columns + c, kBlock * columns, pixels, block * kColumns + c);
      }
    }
  }
}

template <typename Element, bool TURNED>
void Convolve(const Tiling &g, const float *x, const float *filter, float *y) {
  thread_local std::vector<Element> filters_buffer;
  Element *const filters = Scratch(filters_buffer, BlocksOf(g) * kPositions * g.cin * kColumns);
  Crew &crew = TheCrew();
  const int parts = crew.size();
  crew.Run([&](int part) {
    const int64_t pairs = g.cin / kDepth<Element>;
    TransformFilters<TURNED>(g, filter, filters, pairs * part / parts * kDepth<Element>,
                             pairs * (part + 1) / parts * kDepth<Element>);
  });
  const int64_t tiles = g.tiles();
  crew.Run([&](int part) { Tiles(g, x, filters, y, tiles * part / parts, tiles * (part + 1) / parts); });
}

template <bool TURNED>
void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &[padding, halves] = *static_cast<WinogradAttributes *>(kernel);
  KernelRun run(context, 2);
  if (!run.ok()) return;
  const int64_t h = run.side(0, 1), w = run.side(0, 2);
  const Tiling g = {run.side(0, 0),     h,      w, run.side(0, 3), h + 2 * padding - 2, w + 2 * padding - 2,
                    run.side(1, TURNED ? 2 : 3), padding};
  float *const y = run.Allocate(0, {g.n, g.oh, g.ow, g.cout});
  if (y == nullptr) return;
  const auto convolve = halves ? Convolve<Half, TURNED> : Convolve<float, TURNED>;
  convolve(g, run.data(0), run.data(1), y);
}

template <bool TURNED>
bool Register(const char *op) {
  return RegisterKernel({op,
                         {"padding: int", "halves: int", "shape: shape"},
                         {"x: float", "filter: float"},
                         {"y: float"},
                         nullptr,
                         &WinogradAttributes::Create,
                         &Compute<TURNED>,
                         &WinogradAttributes::Delete});
}

}  // namespace

bool HasWinograd() {
  static const bool registered =
      HasAvx512() && Register<false>("EchoforgeConvolution") && Register<true>("EchoforgeConvolutionInput");
  return registered;
}

}  // namespace tfnodejs
