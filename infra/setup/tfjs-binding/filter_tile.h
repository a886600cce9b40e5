#ifndef ECHOFORGE_FILTER_TILE_H_
#define ECHOFORGE_FILTER_TILE_H_

#include <algorithm>
#include <cstdint>

#include "vectors.h"

namespace tfnodejs {

// Sums of products over pixels, dw[ci, co] += x[pixel, ci] dy[pixel, co]: a tile of 6 input by 64 output channels stays in
// registers while the pixels pass by.

// Pixels that follow each other at equal distances; of halves, pairs of pixels.
template <typename Element>
struct Run {
  const Element *x, *dy;
  int64_t pixels;
};

constexpr int kTile = 6;  // input channels of a tile; with 4 vectors of output channels 24 of 32 registers

// Steps from pixel to pixel in x and dy are in elements; a channel's partner of a pair lies beside it.
template <typename Element, int CI, int V>
AVX512 void Tile(const Run<Element> *runs, int count, int64_t ci, int64_t x_step, int64_t dy_step, float *dw,
                 int64_t dw_step) {
  constexpr int kPair = kDepth<Element>;
  __m512 sums[CI][V];
#pragma GCC unroll 8
  for (int i = 0; i < CI; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sums[i][v] = _mm512_loadu_ps(dw + i * dw_step + kLanes * v);
  for (int r = 0; r < count; r++) {
    const Element *x = runs[r].x + ci * kPair;
    const Element *dy = runs[r].dy;
    for (int64_t pixel = 0; pixel < runs[r].pixels; pixel++, x += x_step, dy += dy_step) {
#pragma GCC unroll 8
      for (int i = 0; i < CI; i++)
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sums[i][v] = MultiplyAdd(x + i * kPair, dy + kLanes * kPair * v, sums[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < CI; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) _mm512_storeu_ps(dw + i * dw_step + kLanes * v, sums[i][v]);
}

template <typename Element>
using TileFunction = void (*)(const Run<Element> *, int, int64_t, int64_t, int64_t, float *, int64_t);

template <typename Element, int CI>
TileFunction<Element> TileOf(int vectors) {
  static const TileFunction<Element> tiles[4] = {Tile<Element, CI, 1>, Tile<Element, CI, 2>, Tile<Element, CI, 3>,
                                                 Tile<Element, CI, 4>};
  return tiles[vectors - 1];
}

template <typename Element>
TileFunction<Element> TileFor(int64_t input_channels, int64_t vectors) {
  static TileFunction<Element> (*const tiles[kTile])(int) = {TileOf<Element, 1>, TileOf<Element, 2>, TileOf<Element, 3>,
                                                             TileOf<Element, 4>, TileOf<Element, 5>, TileOf<Element, 6>};
  return tiles[std::min<int64_t>(kTile, input_channels) - 1](static_cast<int>(vectors));
}

}  // namespace tfnodejs

#endif  // ECHOFORGE_FILTER_TILE_H_
