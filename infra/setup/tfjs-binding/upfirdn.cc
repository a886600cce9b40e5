// StyleGAN2's resampling (Karras et al. 2020, appendix B): zeros between the samples, padding, the filter [1, 3, 3, 1] / 8 on
// both axes, every down-th sample, times a gain; each channel by itself, NHWC. One pass where TensorFlow pads, convolves with
// all 16 taps of the square filter, and stuffs zeros as tensors of their own.

#include "upfirdn.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "crew.h"
#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

constexpr int kTaps = 4;
constexpr float kFilter[kTaps] = {1 / 8.0f, 3 / 8.0f, 3 / 8.0f, 1 / 8.0f};

struct Attributes {
  int32_t up, down, p0, p1;
  float gain;
};

struct Geometry {
  int64_t h, w, c, oh, ow;
};

// Taps that meet a sample where the zero-stuffed, padded axis is read from `first`: the sample under each, and its weight.
struct Taps {
  int count = 0;
  int64_t sample[kTaps];
  float weight[kTaps];
};

Taps TapsAt(int64_t first, int up, int64_t size, bool inside_only) {
  Taps taps;
  for (int i = 0; i < kTaps; i++) {
    const int64_t at = first + i;
    if ((at % up + up) % up != 0) continue;
    const int64_t sample = at / up;
    if (inside_only && (at < 0 || sample >= size)) continue;
    taps.sample[taps.count] = sample;
    taps.weight[taps.count++] = kFilter[i];
  }
  return taps;
}

// out[i] = sum of the four weighted rows.
FAST void Combine(const float *const *rows, const float *weights, int64_t count, float *__restrict out) {
  const float *__restrict a = rows[0], *__restrict b = rows[1], *__restrict c = rows[2], *__restrict d = rows[3];
  const float wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
  for (int64_t i = 0; i < count; i++) out[i] = a[i] * wa + b[i] * wb + c[i] * wc + d[i] * wd;
}

FAST void CombineTwo(const float *__restrict a, const float *__restrict b, float wa, float wb, int64_t count,
                     float *__restrict out) {
  for (int64_t i = 0; i < count; i++) out[i] = a[i] * wa + b[i] * wb;
}

// Rows [from, to) of all N * OH.
void Rows(const Attributes &attributes, const Geometry &g, const float *x, float *y, int64_t from, int64_t to) {
  const int up = attributes.up, down = attributes.down;
  // The row between the two passes, with zeros for what lies beyond its ends.
  const int64_t left = kTaps, samples = g.w + 2 * kTaps;
  std::vector<float> padded(samples * g.c, 0.0f);
  float *const row = padded.data() + left * g.c;
  const int64_t width = g.w * g.c;
  const std::vector<float> zeros(width, 0.0f); // for rows beyond the image
  for (int64_t r = from; r < to; r++) {
    const float *const image = x + r / g.oh * g.h * width;
    const Taps vertical = TapsAt(r % g.oh * down - attributes.p0, up, g.h, true);
    const float *rows[kTaps] = {zeros.data(), zeros.data(), zeros.data(), zeros.data()};
    float weights[kTaps] = {0, 0, 0, 0};
    for (int i = 0; i < vertical.count; i++) {
      rows[i] = image + vertical.sample[i] * width;
      weights[i] = vertical.weight[i] * attributes.gain;
    }
    if (vertical.count <= 2)
      CombineTwo(rows[0], rows[1], weights[0], weights[1], width, row);
    else
      Combine(rows, weights, width, row);
    float *const out = y + r * g.ow * g.c;
    if (up == 1 && down == 1) {
      const float *const first = row - attributes.p0 * g.c;
      const float *const shifted[kTaps] = {first, first + g.c, first + 2 * g.c, first + 3 * g.c};
      Combine(shifted, kFilter, g.ow * g.c, out);
      continue;
    }
    for (int64_t column = 0; column < g.ow; column++) {
      const Taps taps = TapsAt(column * down - attributes.p0, up, g.w, false);
      const float *pixels[kTaps];
      for (int i = 0; i < taps.count; i++) pixels[i] = row + taps.sample[i] * g.c;
      if (taps.count == 2)
        CombineTwo(pixels[0], pixels[1], taps.weight[0], taps.weight[1], g.c, out + column * g.c);
      else
        Combine(pixels, taps.weight, g.c, out + column * g.c);
    }
  }
}

void *Create(TF_OpKernelConstruction *construction) {
  auto *a = new Attributes{1, 1, 0, 0, 1};
  ReadAttributes(construction, {{"up", &a->up}, {"down", &a->down}, {"p0", &a->p0}, {"p1", &a->p1}}, {{"gain", &a->gain}});
  return a;
}

void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &attributes = *static_cast<Attributes *>(kernel);
  KernelRun run(context, 1);
  if (!run.ok()) return;
  const auto side = [&](int d) {
    return (run.side(0, d) * attributes.up + attributes.p0 + attributes.p1 - kTaps) / attributes.down + 1;
  };
  const int64_t n = run.side(0, 0);
  const Geometry g = {run.side(0, 1), run.side(0, 2), run.side(0, 3), side(1), side(2)};
  float *const y = run.Allocate(0, {n, g.oh, g.ow, g.c});
  if (y != nullptr)
    TheCrew().Split(n * g.oh, g.ow * g.c, [&](int64_t from, int64_t to) { Rows(attributes, g, run.data(0), y, from, to); });
}

}  // namespace

bool HasUpfirdn() {
  static const bool registered =
      HasAvx512() && RegisterKernel({"EchoforgeUpfirdn",
                                     {"up: int", "down: int", "p0: int", "p1: int", "gain: float", "shape: shape"},
                                     {"x: float"},
                                     {"y: float"},
                                     nullptr,
                                     &Create,
                                     &Compute,
                                     &Delete});
  return registered;
}

}  // namespace tfnodejs
