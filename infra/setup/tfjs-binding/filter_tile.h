#ifndef ECHOFORGE_FILTER_TILE_H_
#define ECHOFORGE_FILTER_TILE_H_

#include <immintrin.h>

#include <cstdint>

#define AVX512 __attribute__((target("avx512f")))

namespace tfnodejs {

// Sums of products over pixels, dw[ci, co] += x[pixel, ci] dy[pixel, co]: a tile of 6 input by 64 output channels stays in
// registers while the pixels pass by.

// Pixels that follow each other at equal distances.
struct Run {
  const float *x, *dy;
  int64_t pixels;
};

constexpr int kTile = 6;       // input channels of a tile; with 4 vectors of output channels 24 of 32 registers

template <int CI, int V>
AVX512 inline void Tile(const Run *runs, int count, int64_t ci, int64_t x_step, int64_t dy_step, float *dw) {
  __m512 sums[CI][V];
#pragma GCC unroll 8
  for (int i = 0; i < CI; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) sums[i][v] = _mm512_loadu_ps(dw + i * dy_step + 16 * v);
  for (int r = 0; r < count; r++) {
    const float *x = runs[r].x + ci;
    const float *dy = runs[r].dy;
    for (int64_t pixel = 0; pixel < runs[r].pixels; pixel++, x += x_step, dy += dy_step) {
      __m512 slope[V];
#pragma GCC unroll 8
      for (int v = 0; v < V; v++) slope[v] = _mm512_loadu_ps(dy + 16 * v);
#pragma GCC unroll 8
      for (int i = 0; i < CI; i++) {
        const __m512 value = _mm512_set1_ps(x[i]);
#pragma GCC unroll 8
        for (int v = 0; v < V; v++) sums[i][v] = _mm512_fmadd_ps(value, slope[v], sums[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < CI; i++)
#pragma GCC unroll 8
    for (int v = 0; v < V; v++) _mm512_storeu_ps(dw + i * dy_step + 16 * v, sums[i][v]);
}

// dw of a tile starts at its first input channel; its rows are as far apart as pixels of dy, Cout.
using TileFunction = void (*)(const Run *, int, int64_t, int64_t, int64_t, float *);

inline TileFunction TileFor(int input_channels, int vectors) {
  static const TileFunction tiles[kTile][4] = {
      {Tile<1, 1>, Tile<1, 2>, Tile<1, 3>, Tile<1, 4>}, {Tile<2, 1>, Tile<2, 2>, Tile<2, 3>, Tile<2, 4>},
      {Tile<3, 1>, Tile<3, 2>, Tile<3, 3>, Tile<3, 4>}, {Tile<4, 1>, Tile<4, 2>, Tile<4, 3>, Tile<4, 4>},
      {Tile<5, 1>, Tile<5, 2>, Tile<5, 3>, Tile<5, 4>}, {Tile<6, 1>, Tile<6, 2>, Tile<6, 3>, Tile<6, 4>}};
  return tiles[input_channels - 1][vectors - 1];
}

}  // namespace tfnodejs

#endif  // ECHOFORGE_FILTER_TILE_H_
