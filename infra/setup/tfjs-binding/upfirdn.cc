// StyleGAN2's resampling (Karras et al. 2020, appendix B): zeros between the samples, padding, the filter [1, 3, 3, 1] / 8 on
// both axes, every down-th sample, times a gain; each channel by itself, NHWC. One pass where TensorFlow pads, convolves with
// all 16 taps of the square filter, and stuffs zeros as tensors of their own.

#include "upfirdn.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "crew.h"
#include "kernel_api.h"
#include "tf_auto_status.h"
#include "vectors.h"

#define FAST __attribute__((target("avx512f"), optimize("O3")))

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

// Fewer values than this are not worth a second thread.
constexpr int64_t kSmall = 1 << 14;

void Upfirdn(const Attributes &attributes, const Geometry &g, int64_t n, const float *x, float *y) {
  const int64_t rows = n * g.oh;
  if (rows * g.ow * g.c < kSmall) {
    Rows(attributes, g, x, y, 0, rows);
    return;
  }
  Crew &crew = TheCrew();
  crew.Run([&](int part) { Rows(attributes, g, x, y, rows * part / crew.size(), rows * (part + 1) / crew.size()); });
}

void *Create(TF_OpKernelConstruction *construction) {
  auto *attributes = new Attributes{1, 1, 0, 0, 1};
  TF_AutoStatus status;
  const struct {
    const char *name;
    int32_t *value;
  } wanted[] = {
      {"up", &attributes->up}, {"down", &attributes->down}, {"p0", &attributes->p0}, {"p1", &attributes->p1}};
  for (const auto &[name, value] : wanted)
    if (TF_GetCode(status.status) == TF_OK)
      TF_OpKernelConstruction_GetAttrInt32(construction, name, value, status.status);
  if (TF_GetCode(status.status) == TF_OK)
    TF_OpKernelConstruction_GetAttrFloat(construction, "gain", &attributes->gain, status.status);
  if (TF_GetCode(status.status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status.status);
  return attributes;
}

void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &attributes = *static_cast<Attributes *>(kernel);
  TF_AutoStatus status;
  TF_Tensor *input = nullptr, *output = nullptr;
  TF_GetInput(context, 0, &input, status.status);
  if (TF_GetCode(status.status) == TF_OK) {
    const auto side = [&](int d) {
      return (TF_Dim(input, d) * attributes.up + attributes.p0 + attributes.p1 - kTaps) / attributes.down + 1;
    };
    const int64_t shape[4] = {TF_Dim(input, 0), side(1), side(2), TF_Dim(input, 3)};
    const Geometry g = {TF_Dim(input, 1), TF_Dim(input, 2), shape[3], shape[1], shape[2]};
    const size_t bytes = shape[0] * shape[1] * shape[2] * shape[3] * sizeof(float);
    output = TF_AllocateOutput(context, 0, TF_FLOAT, shape, 4, bytes, status.status);
    if (TF_GetCode(status.status) == TF_OK)
      Upfirdn(attributes, g, shape[0], static_cast<const float *>(TF_TensorData(input)),
              static_cast<float *>(TF_TensorData(output)));
  }
  if (TF_GetCode(status.status) != TF_OK) TF_OpKernelContext_Failure(context, status.status);
  for (TF_Tensor *tensor : {input, output})
    if (tensor != nullptr) TF_DeleteTensor(tensor);
}

bool Register() {
  constexpr char kName[] = "EchoforgeUpfirdn";
  TF_AutoStatus status;
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder(kName);
  for (const char *attribute : {"up: int", "down: int", "p0: int", "p1: int", "gain: float", "shape: shape"})
    TF_OpDefinitionBuilderAddAttr(op, attribute);
  TF_OpDefinitionBuilderAddInput(op, "x: float");
  TF_OpDefinitionBuilderAddOutput(op, "y: float");
  // The C interface cannot give a shape out of attributes; whoever adds the node ensures it.
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, &TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(op, status.status);
  if (TF_GetCode(status.status) != TF_OK) return false;
  TF_KernelBuilder *kernel = TF_NewKernelBuilder(kName, "CPU", &Create, &Compute, &Delete);
  TF_RegisterKernelBuilder(kName, kernel, status.status);
  return TF_GetCode(status.status) == TF_OK;
}

}  // namespace

bool HasUpfirdn() {
  static const bool registered = HasAvx512() && Register();
  return registered;
}

}  // namespace tfnodejs
