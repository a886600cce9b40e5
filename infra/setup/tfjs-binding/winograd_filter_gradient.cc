// Gradient of a 3x3 convolution with stride 1 in its filter by Winograd's minimal filtering F(3x3, 2x2): the nine taps are
// the outputs, the 2x2 gradients of a tile the filter, so 16 products take the place of 36. NHWC, float32.
//
// The transformed inputs and gradients of all tiles are summed as 16 products [Cin, Cout], which make the nine taps at the end.

#include "winograd_filter_gradient.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "crew.h"
#include "filter_tile.h"
#include "winograd_tiles.h"

namespace tfnodejs {
namespace {

constexpr int64_t kColumns = 64;  // output channels of a block
constexpr int64_t kBlock = 60;    // tiles whose transforms lie in the cache together

// What one thread adds up: input channels [from, to) over the tiles [first, end).
struct Share {
  int64_t from, to, first, end;
};

// G d G' with G = [1 0; 1/2 1/2; 1/2 -1/2; 0 1] of the 2x2 gradients of 16 output channels; position p goes to out + p * step.
AVX512 void TransformGradients(const float *const *pixels, float *out, int64_t step) {
  const __m512 half = _mm512_set1_ps(0.5f);
  __m512 rows[4][2];
  for (int j = 0; j < 2; j++) {
    const __m512 d0 = _mm512_mul_ps(half, _mm512_loadu_ps(pixels[j])), d1 = _mm512_mul_ps(half, _mm512_loadu_ps(pixels[2 + j]));
    rows[0][j] = _mm512_add_ps(d0, d0);
    rows[1][j] = _mm512_add_ps(d0, d1);
    rows[2][j] = _mm512_sub_ps(d0, d1);
    rows[3][j] = _mm512_add_ps(d1, d1);
  }
  for (int i = 0; i < 4; i++) {
    const __m512 d0 = _mm512_mul_ps(half, rows[i][0]), d1 = _mm512_mul_ps(half, rows[i][1]);
    float *const to = out + i * 4 * step;
    _mm512_storeu_ps(to, rows[i][0]);
    _mm512_storeu_ps(to + step, _mm512_add_ps(d0, d1));
    _mm512_storeu_ps(to + 2 * step, _mm512_sub_ps(d0, d1));
    _mm512_storeu_ps(to + 3 * step, rows[i][1]);
  }
}

// A' m A with A' = [1 1 1 0; 0 1 -1 0; 0 1 1 -1] of 16 output channels: the nine taps, `plane` apart from each other.
AVX512 void TransformSums(const float *m, int64_t step, float *dw, int64_t plane) {
  __m512 rows[3][4];
  for (int j = 0; j < 4; j++) {
    const __m512 m0 = _mm512_loadu_ps(m + j * step), m1 = _mm512_loadu_ps(m + (4 + j) * step),
                 m2 = _mm512_loadu_ps(m + (8 + j) * step), m3 = _mm512_loadu_ps(m + (12 + j) * step);
    const __m512 both = _mm512_add_ps(m1, m2);
    rows[0][j] = _mm512_add_ps(m0, both);
    rows[1][j] = _mm512_sub_ps(m1, m2);
    rows[2][j] = _mm512_sub_ps(both, m3);
  }
  for (int i = 0; i < 3; i++) {
    const __m512 *const r = rows[i];
    const __m512 both = _mm512_add_ps(r[1], r[2]);
    _mm512_storeu_ps(dw + (3 * i) * plane, _mm512_add_ps(r[0], both));
    _mm512_storeu_ps(dw + (3 * i + 1) * plane, _mm512_sub_ps(r[1], r[2]));
    _mm512_storeu_ps(dw + (3 * i + 2) * plane, _mm512_sub_ps(both, r[3]));
  }
}

// Tiles [start, start + count) of the share: transformed inputs [position][tile][channel] and gradients
// [position][tile][column], `row` and `columns` apart from tile to tile.
struct Block {
  const Tiling &g;
  const float *x, *dy, *zeros;
  const Share &share;
  int64_t co, columns, row;
  void Transform(int64_t start, int64_t count, float *inputs, float *gradients) const {
    for (int64_t t = 0; t < count; t++) {
      const float *pixels[16];
      InputsOf(g, x, zeros, start + t, pixels);
      for (const float *&pixel : pixels) pixel += pixel == zeros ? 0 : share.from;
      TransformTile(pixels, share.to - share.from, inputs + t * row, kBlock * row);
      OutputsOf(g, dy, zeros, start + t, pixels);
      for (int64_t c = 0; c < columns; c += kLanes) {
        const float *of[4];
        for (int i = 0; i < 4; i++) of[i] = pixels[i] == zeros ? zeros : pixels[i] + co + c;
        TransformGradients(of, gradients + t * columns + c, kBlock * columns);
      }
    }
  }
};

// Values [count, width] of an even or odd number of rows as pairs of rows [(count + 1) / 2, width, 2]; a row of zeros is added.
AVX512 void PairRows(const float *rows, int64_t count, int64_t width, Half *pairs) {
  for (int64_t t = 0; t < count; t += 2)
    for (int64_t c = 0; c < width; c += kLanes) {
      const __m512 second = t + 1 < count ? _mm512_loadu_ps(rows + (t + 1) * width + c) : _mm512_setzero_ps();
      StorePairs(pairs + t * width + 2 * c, _mm512_loadu_ps(rows + t * width + c), second);
    }
}

// What the product of a position takes: the rows themselves, or pairs of them in halves.
const float *Operand(const float *rows, int64_t, int64_t, std::vector<float> &) { return rows; }
const Half *Operand(const float *rows, int64_t count, int64_t width, std::vector<Half> &buffer) {
  Half *const pairs = Scratch(buffer, (count + 1) / 2 * 2 * width);
  PairRows(rows, count, width, pairs);
  return pairs;
}

// Writes what the share gives to the rows [from, to) of all nine taps of dw [3, 3, Cin, Cout].
template <typename Element>
void Accumulate(const Tiling &g, const float *x, const float *dy, float *dw, const Share &share) {
  thread_local std::vector<float> inputs_buffer, gradients_buffer, sums_buffer;
  thread_local std::vector<Element> input_operand, gradient_operand;
  constexpr int kPair = kDepth<Element>;
  const int64_t channels = share.to - share.from;
  // Whole vectors, and not a power of two, so that rows do not evict each other.
  const int64_t row = (channels + kLanes - 1) / kLanes * kLanes + kLanes;
  float *const inputs = Scratch(inputs_buffer, kPositions * kBlock * row);
  float *const gradients = Scratch(gradients_buffer, kPositions * kBlock * kColumns);
  float *const sums = Scratch(sums_buffer, kPositions * channels * kColumns);
  const std::vector<float> zeros(std::max(g.cin, g.cout), 0.0f);
  for (int64_t co = 0; co < g.cout; co += kColumns) {
    const int64_t columns = std::min(kColumns, g.cout - co);
    const int64_t step = channels * columns;
    const Block block = {g, x, dy, zeros.data(), share, co, columns, row};
    std::memset(sums, 0, kPositions * step * sizeof(float));
    for (int64_t start = share.first; start < share.end; start += kBlock) {
      const int64_t count = std::min(kBlock, share.end - start);
      block.Transform(start, count, inputs, gradients);
      for (int p = 0; p < kPositions; p++) {
        const Run<Element> run = {Operand(inputs + p * kBlock * row, count, row, input_operand),
                                  Operand(gradients + p * kBlock * columns, count, columns, gradient_operand),
                                  (count + kPair - 1) / kPair};
        for (int64_t ci = 0; ci < channels; ci += kTile)
          TileFor<Element>(channels - ci, columns / kLanes)(&run, 1, ci, row * kPair, columns * kPair,
                                                            sums + p * step + ci * columns, columns);
      }
    }
    for (int64_t ci = 0; ci < channels; ci++)
      for (int64_t c = 0; c < columns; c += kLanes)
        TransformSums(sums + ci * columns + c, step, dw + (share.from + ci) * g.cout + co + c, g.cin * g.cout);
  }
}

// Filters up to this size are summed by parts of the tiles, larger ones by parts of the input channels.
constexpr int64_t kLargestCopy = 1 << 20;

template <typename Element>
void FilterGradient(const Tiling &g, const float *x, const float *dy, float *dw) {
  Crew &crew = TheCrew();
  const int parts = crew.size();
  const int64_t size = 9 * g.cin * g.cout, tiles = g.tiles();
  if (size * static_cast<int64_t>(sizeof(float)) > kLargestCopy) {
    crew.Run([&](int part) {
      // Whole register tiles, so that the last of a part is not a small one.
      const int64_t groups = (g.cin + kTile - 1) / kTile;
      const Share share = {std::min(g.cin, groups * part / parts * kTile), std::min(g.cin, groups * (part + 1) / parts * kTile), 0,
                           tiles};
      if (share.from < share.to) Accumulate<Element>(g, x, dy, dw, share);
    });
    return;
  }
  std::vector<float> copies(size * (parts - 1));
  crew.Run([&](int part) {
    float *target = part == 0 ? dw : copies.data() + size * (part - 1);
    Accumulate<Element>(g, x, dy, target, {0, g.cin, tiles * part / parts, tiles * (part + 1) / parts});
  });
  for (int part = 1; part < parts; part++)
    for (int64_t i = 0; i < size; i++) dw[i] += copies[size * (part - 1) + i];
}

void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &[padding, halves] = *static_cast<WinogradAttributes *>(kernel);
  KernelRun run(context, 2);
  if (!run.ok()) return;
  const Tiling g = {run.side(0, 0), run.side(0, 1), run.side(0, 2), run.side(0, 3),
                    run.side(1, 1), run.side(1, 2), run.side(1, 3), padding};
  float *const dw = run.Allocate(0, {3, 3, g.cin, g.cout});
  if (dw == nullptr) return;
  const auto gradient = halves ? FilterGradient<Half> : FilterGradient<float>;
  gradient(g, run.data(0), run.data(1), dw);
}

}  // namespace

bool HasWinogradFilterGradient() {
  static const bool registered =
      HasAvx512() && RegisterKernel({"EchoforgeWinogradFilterGradient",
                                     {"padding: int", "halves: int", "shape: shape"},
                                     {"x: float", "dy: float"},
                                     {"dw: float"},
                                     nullptr,
                                     &WinogradAttributes::Create,
                                     &Compute,
                                     &WinogradAttributes::Delete});
  return registered;
}

}  // namespace tfnodejs
