#ifndef ECHOFORGE_WINOGRAD_TILES_H_
#define ECHOFORGE_WINOGRAD_TILES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {

// What the 3x3 convolution and its gradient in the filter share: tiles of 4x4 inputs for 2x2 outputs, and the transform of the
// inputs.

constexpr int kPositions = 16;  // of a transformed tile

struct Tiling {
  int64_t n, h, w, cin, oh, ow, cout;
  int64_t padding;  // zeros on all sides
  int64_t tiles_down() const { return (oh + 1) / 2; }
  int64_t tiles_across() const { return (ow + 1) / 2; }
  int64_t tiles() const { return n * tiles_down() * tiles_across(); }
};

// Attributes of the nodes.
struct WinogradAttributes {
  int32_t padding, halves;
  static void *Create(TF_OpKernelConstruction *construction) {
    auto *a = new WinogradAttributes{0, 0};
    ReadAttributes(construction, {{"padding", &a->padding}, {"halves", &a->halves}});
    return a;
  }
  static void Delete(void *kernel) { delete static_cast<WinogradAttributes *>(kernel); }
};

// Memory that a thread keeps from call to call: fresh pages cost more than what is computed in them.
template <typename Element>
Element *Scratch(std::vector<Element> &buffer, size_t size) {
  if (buffer.size() < size) buffer.resize(size);
  return buffer.data();
}

// B' d B of one tile, B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1]: pixels[16] point at its inputs, position p of the result
// goes to out + p * step.
template <typename Element>
AVX512 void TransformTile(const float *const *pixels, int64_t channels, Element *out, int64_t step) {
  for (int64_t c = 0; c < channels; c += kLanes) {
    const __mmask16 mask = channels - c >= kLanes ? 0xffff : static_cast<__mmask16>((1 << (channels - c)) - 1);
    __m512 rows[4][4];
    for (int j = 0; j < 4; j++) {
      __m512 d[4];
      for (int i = 0; i < 4; i++) d[i] = _mm512_maskz_loadu_ps(mask, pixels[i * 4 + j] + c);
      rows[0][j] = _mm512_sub_ps(d[0], d[2]);
      rows[1][j] = _mm512_add_ps(d[1], d[2]);
      rows[2][j] = _mm512_sub_ps(d[2], d[1]);
      rows[3][j] = _mm512_sub_ps(d[1], d[3]);
    }
    for (int i = 0; i < 4; i++) {
      const __m512 *const d = rows[i];
      Element *const to = out + i * 4 * step + c;
      Store(to, mask, _mm512_sub_ps(d[0], d[2]));
      Store(to + step, mask, _mm512_add_ps(d[1], d[2]));
      Store(to + 2 * step, mask, _mm512_sub_ps(d[2], d[1]));
      Store(to + 3 * step, mask, _mm512_sub_ps(d[1], d[3]));
    }
  }
}

// Inputs of a tile; `zeros` for those beyond the image.
inline void InputsOf(const Tiling &g, const float *x, const float *zeros, int64_t tile, const float **pixels) {
  const int64_t across = g.tiles_across(), down = g.tiles_down();
  const int64_t image = tile / (down * across);
  const int64_t top = tile / across % down * 2 - g.padding, left = tile % across * 2 - g.padding;
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) {
      const int64_t row = top + i, column = left + j;
      const bool inside = row >= 0 && row < g.h && column >= 0 && column < g.w;
      pixels[i * 4 + j] = inside ? x + ((image * g.h + row) * g.w + column) * g.cin : zeros;
    }
}

// The 2x2 outputs of a tile, in y or its gradient; `outside` for those beyond the image.
template <typename Value>
void OutputsOf(const Tiling &g, Value *y, Value *outside, int64_t tile, Value **pixels) {
  const int64_t across = g.tiles_across(), down = g.tiles_down();
  const int64_t image = tile / (down * across), top = tile / across % down * 2, left = tile % across * 2;
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 2; j++) {
      const bool inside = top + i < g.oh && left + j < g.ow;
      pixels[i * 2 + j] = inside ? y + ((image * g.oh + top + i) * g.ow + left + j) * g.cout : outside;
    }
}

}  // namespace tfnodejs

#endif  // ECHOFORGE_WINOGRAD_TILES_H_
