// Gradient of a convolution in its filter, on the CPU: dW[kh, kw, ci, co] = sum over n, oh, ow of
// x[n, oh s + kh - p, ow s + kw - p, ci] dy[n, oh, ow, co]. NHWC, float32, a multiple of 16 output channels.
//
// TensorFlow's own (oneDNN) reaches 44-65% of the peak of an AVX-512 machine with stride 1 and 25% with stride 2; this one
// 85-93% (docs/performance.md). It reads x and dy where they lie. With 3x3 filters, stride 1 and pixels enough,
// winograd_filter_gradient.cc takes fewer products.

#include "filter_gradient.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "crew.h"
#include "filter_tile.h"
#include "kernel_op.h"

namespace tfnodejs {
namespace {

struct Geometry {
  int64_t n, h, w, cin, oh, ow, cout;
  int kernel, stride, padding;
};

constexpr int64_t kBlock = 128;  // pixels whose dy stays in the first cache over all tiles

// Adds what rows [row_from, row_to) of all N * OH give to the input channels [from, to) of dw.
void Accumulate(const Geometry &g, const float *x, const float *dy, float *dw, int64_t row_from, int64_t row_to,
                int64_t from, int64_t to) {
  const int64_t rows = std::max<int64_t>(1, kBlock / g.ow);
  std::vector<Run<float>> runs(rows);
  for (int64_t block = row_from; block < row_to; block += rows) {
    const int64_t block_end = std::min(row_to, block + rows);
    for (int64_t co = 0; co < g.cout; co += 64) {
      const int vectors = static_cast<int>(std::min<int64_t>(4, (g.cout - co) / 16));
      for (int kh = 0; kh < g.kernel; kh++) {
        for (int kw = 0; kw < g.kernel; kw++) {
          const int64_t first = std::max<int64_t>(0, (g.padding - kw + g.stride - 1) / g.stride);
          const int64_t reach = g.w - 1 + g.padding - kw;  // negative where the tap lies beyond the image
          const int64_t end = reach < 0 ? 0 : std::min(g.ow, reach / g.stride + 1);
          int count = 0;
          for (int64_t row = block; row < block_end && first < end; row++) {
            const int64_t ih = row % g.oh * g.stride + kh - g.padding;
            if (ih < 0 || ih >= g.h) continue;
            const int64_t pixel = (row / g.oh * g.h + ih) * g.w + first * g.stride + kw - g.padding;
            runs[count++] = {x + pixel * g.cin, dy + (row * g.ow + first) * g.cout + co, end - first};
          }
          float *position = dw + (kh * g.kernel + kw) * g.cin * g.cout + co;
          for (int64_t ci = from; ci < to; ci += kTile)
            TileFor<float>(to - ci, vectors)(runs.data(), count, ci, g.stride * g.cin, g.cout, position + ci * g.cout, g.cout);
        }
      }
    }
  }
}

// Gradients up to this size are summed by parts of the rows, larger ones by parts of the input channels.
constexpr int64_t kLargestCopy = 1 << 20;

void FilterGradient(const Geometry &g, const float *x, const float *dy, float *dw) {
  Crew &crew = TheCrew();
  const int parts = crew.size();
  const int64_t size = g.kernel * g.kernel * g.cin * g.cout;
  const int64_t rows = g.n * g.oh;
  std::memset(dw, 0, size * sizeof(float));
  if (size * static_cast<int64_t>(sizeof(float)) > kLargestCopy || rows < 2 * parts) {
    crew.Run([&](int part) {
      // Whole tiles, so that the last of a part is not a small one.
      const int64_t tiles = (g.cin + kTile - 1) / kTile;
      Accumulate(g, x, dy, dw, 0, rows, std::min(g.cin, tiles * part / parts * kTile),
                 std::min(g.cin, tiles * (part + 1) / parts * kTile));
    });
    return;
  }
  std::vector<float> copies(size * (parts - 1), 0.0f);
  crew.Run([&](int part) {
    float *target = part == 0 ? dw : copies.data() + size * (part - 1);
    Accumulate(g, x, dy, target, rows * part / parts, rows * (part + 1) / parts, 0, g.cin);
  });
  for (int part = 1; part < parts; part++)
    for (int64_t i = 0; i < size; i++) dw[i] += copies[size * (part - 1) + i];
}

struct Attributes {
  int32_t kernel, stride, padding;
};

void *Create(TF_OpKernelConstruction *construction) {
  auto *a = new Attributes{0, 0, 0};
  ReadAttributes(construction, {{"kernel", &a->kernel}, {"stride", &a->stride}, {"padding", &a->padding}});
  return a;
}

void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &[size, stride, padding] = *static_cast<Attributes *>(kernel);
  KernelRun run(context, 2);
  if (!run.ok()) return;
  const Geometry g = {run.side(0, 0), run.side(0, 1), run.side(0, 2), run.side(0, 3), run.side(1, 1),
                      run.side(1, 2), run.side(1, 3), size,           stride,         padding};
  float *const dw = run.Allocate(0, {size, size, g.cin, g.cout});
  if (dw != nullptr) FilterGradient(g, run.data(0), run.data(1), dw);
}

void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

}  // namespace

bool HasFilterGradient() {
  static const bool registered =
      HasAvx512() && RegisterKernel({kFilterGradientOp,
                                     {"kernel: int", "stride: int", "padding: int", "shape: shape"},
                                     {"x: float", "dy: float"},
                                     {"dw: float"},
                                     nullptr,
                                     &Create,
                                     &Compute,
                                     &Delete});
  return registered;
}

}  // namespace tfnodejs
