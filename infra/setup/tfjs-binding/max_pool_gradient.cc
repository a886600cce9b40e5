// Gradient of max pooling over windows of 3x3 at every second pixel, without padding, NHWC: each window hands its gradient to
// the first of its pixels, row after row, that holds the largest value. 16 channels at a time; the library goes value by value.

#include "max_pool_gradient.h"

#include <algorithm>

#include "crew.h"
#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

constexpr int64_t kWindow = 3, kStride = 2;

struct Geometry {
  int64_t h, w, c, oh, ow;
};

// One window; x and dx point to its first pixel, y and dy to its output.
AVX512 void Window(const Geometry &g, const float *x, const float *y, const float *dy, float *dx) {
  for (int64_t c = 0; c < g.c; c += kLanes) {
    const auto lanes = static_cast<__mmask16>((1u << std::min<int64_t>(kLanes, g.c - c)) - 1);
    const __m512 largest = _mm512_maskz_loadu_ps(lanes, y + c), gradient = _mm512_maskz_loadu_ps(lanes, dy + c);
    __mmask16 left = lanes;
    for (int64_t i = 0; i < kWindow; i++)
      for (int64_t j = 0; j < kWindow; j++) {
        const int64_t at = (i * g.w + j) * g.c + c;
        const __mmask16 here = _mm512_mask_cmp_ps_mask(left, _mm512_maskz_loadu_ps(lanes, x + at), largest, _CMP_EQ_OQ);
        if (here == 0) continue;
        _mm512_mask_storeu_ps(dx + at, here, _mm512_add_ps(_mm512_maskz_loadu_ps(here, dx + at), gradient));
        left &= static_cast<__mmask16>(~here);
      }
  }
}

void Image(const Geometry &g, const float *x, const float *y, const float *dy, float *dx) {
  std::fill(dx, dx + g.h * g.w * g.c, 0.0f);
  for (int64_t row = 0; row < g.oh; row++)
    for (int64_t column = 0; column < g.ow; column++) {
      const int64_t in = (row * g.w + column) * kStride * g.c, out = (row * g.ow + column) * g.c;
      Window(g, x + in, y + out, dy + out, dx + in);
    }
}

void Compute(void *, TF_OpKernelContext *context) {
  KernelRun run(context, 3);
  if (!run.ok()) return;
  const Geometry g = {run.side(0, 1), run.side(0, 2), run.side(0, 3), run.side(1, 1), run.side(1, 2)};
  float *const dx = run.Allocate(0, run.shape(0));
  if (dx == nullptr) return;
  const float *const x = run.data(0), *const y = run.data(1), *const dy = run.data(2);
  const int64_t in = g.h * g.w * g.c, out = g.oh * g.ow * g.c;
  TheCrew().Split(run.side(0, 0), in, [&](int64_t from, int64_t to) {
    for (int64_t n = from; n < to; n++) Image(g, x + n * in, y + n * out, dy + n * out, dx + n * in);
  });
}

}  // namespace

bool HasMaxPoolGradient() {
  static const bool registered = HasAvx512() && RegisterKernel({"EchoforgeMaxPoolGradient",
                                                                {},
                                                                {"x: float", "y: float", "dy: float"},
                                                                {"dx: float"},
                                                                &ShapesOfInputs<0>,
                                                                nullptr,
                                                                &Compute,
                                                                nullptr});
  return registered;
}

}  // namespace tfnodejs
