// Batch normalisation (Ioffe and Szegedy 2015, algorithm 1) without gamma, then ReLU, NHWC: with the statistics of the batch
// y = max(0, (x - mean) / sqrt(variance + epsilon) + beta), and its gradient. Each passes over memory twice, where the library
// normalises, clamps and masks in passes of their own.

#include "batch_norm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "crew.h"
#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

// Rows whose sums stay in single precision, and in the nearest cache between two looks at them.
constexpr int64_t kChunk = 32;

using Doubles = std::vector<double>;
using Floats = std::vector<float>;

FAST void AddRow(const float *__restrict row, int64_t channels, float *__restrict sums) {
  for (int64_t c = 0; c < channels; c++) sums[c] += row[c];
}

FAST void AddSquares(const float *__restrict row, const float *__restrict mean, int64_t channels, float *__restrict sums) {
  for (int64_t c = 0; c < channels; c++) sums[c] += (row[c] - mean[c]) * (row[c] - mean[c]);
}

FAST void Scale(float *__restrict values, int64_t channels, float factor) {
  for (int64_t c = 0; c < channels; c++) values[c] *= factor;
}

// Mean and sum of squared differences from it, per channel, of `count` rows.
struct Moments {
  explicit Moments(int64_t channels) : mean(channels), squares(channels) {}
  int64_t count = 0;
  Doubles mean, squares;

  // Chan, Golub and LeVeque 1979: moments of two sets from those of each.
  template <typename Values>
  void Merge(int64_t others, const Values &their_mean, const Values &their_squares) {
    if (others == 0) return;
    const double weight = static_cast<double>(others) / (count + others);
    for (size_t c = 0; c < mean.size(); c++) {
      const double apart = their_mean[c] - mean[c];
      mean[c] += apart * weight;
      squares[c] += their_squares[c] + apart * apart * count * weight;
    }
    count += others;
  }
};

void AddMoments(const float *x, int64_t channels, int64_t from, int64_t to, Moments &moments) {
  Floats mean(channels), squares(channels);
  for (int64_t start = from; start < to; start += kChunk) {
    const int64_t end = std::min(to, start + kChunk);
    std::fill(mean.begin(), mean.end(), 0.0f);
    std::fill(squares.begin(), squares.end(), 0.0f);
    for (int64_t r = start; r < end; r++) AddRow(x + r * channels, channels, mean.data());
    Scale(mean.data(), channels, 1.0f / (end - start));
    for (int64_t r = start; r < end; r++) AddSquares(x + r * channels, mean.data(), channels, squares.data());
    moments.Merge(end - start, mean, squares);
  }
}

// What turns x into y, per channel.
struct Normalisation {
  const float *mean, *inverse, *beta;
};

FAST void Normalise(const float *__restrict x, const Normalisation &by, int64_t channels, float *__restrict y) {
  const float *__restrict mean = by.mean, *__restrict inverse = by.inverse, *__restrict beta = by.beta;
  for (int64_t c = 0; c < channels; c++) {
    const float z = (x[c] - mean[c]) * inverse[c] + beta[c];
    y[c] = z <= 0 ? 0 : z;  // what is not a number stays so
  }
}

void NormaliseAll(const float *x, const Normalisation &by, int64_t rows, int64_t channels, float *y) {
  TheCrew().Split(rows, channels, [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++) Normalise(x + r * channels, by, channels, y + r * channels);
  });
}

// Sums of dz and of dz (x - mean), where dz is dy of what ReLU let through.
FAST void AddGradients(const float *__restrict dy, const float *__restrict x, const Normalisation &by, int64_t channels,
                       float *__restrict sums, float *__restrict products) {
  const float *__restrict mean = by.mean, *__restrict inverse = by.inverse, *__restrict beta = by.beta;
  for (int64_t c = 0; c < channels; c++) {
    const float apart = x[c] - mean[c];
    const float dz = apart * inverse[c] + beta[c] > 0 ? dy[c] : 0;
    sums[c] += dz;
    products[c] += dz * apart;
  }
}

// dx = inverse dz - offset - slope (x - mean).
FAST void InputGradient(const float *__restrict dy, const float *__restrict x, const Normalisation &by,
                        const float *__restrict offset, const float *__restrict slope, int64_t channels,
                        float *__restrict dx) {
  const float *__restrict mean = by.mean, *__restrict inverse = by.inverse, *__restrict beta = by.beta;
  for (int64_t c = 0; c < channels; c++) {
    const float apart = x[c] - mean[c];
    const float dz = apart * inverse[c] + beta[c] > 0 ? dy[c] : 0;
    dx[c] = dz * inverse[c] - offset[c] - apart * slope[c];
  }
}

Floats InverseDeviation(const float *variance, int64_t channels, float epsilon) {
  Floats inverse(channels);
  for (int64_t c = 0; c < channels; c++)
    inverse[c] = static_cast<float>(1 / std::sqrt(static_cast<double>(variance[c]) + epsilon));
  return inverse;
}

void *Create(TF_OpKernelConstruction *construction) {
  auto *epsilon = new float(0);
  ReadAttributes(construction, {}, {{"epsilon", epsilon}});
  return epsilon;
}

void Delete(void *kernel) { delete static_cast<float *>(kernel); }

void Forward(void *kernel, TF_OpKernelContext *context) {
  KernelRun run(context, 2);
  if (!run.ok()) return;
  const int64_t channels = run.size(1), rows = run.size(0) / channels;
  float *const y = run.Allocate(0, run.shape(0));
  float *const mean = run.Allocate(1, {channels}), *const variance = run.Allocate(2, {channels});
  if (!run.ok()) return;
  const float *const x = run.data(0);
  Crew &crew = TheCrew();
  std::vector<Moments> parts(crew.size(), Moments(channels));
  crew.Run([&](int part) {
    AddMoments(x, channels, rows * part / crew.size(), rows * (part + 1) / crew.size(), parts[part]);
  });
  for (int part = 1; part < crew.size(); part++) parts[0].Merge(parts[part].count, parts[part].mean, parts[part].squares);
  for (int64_t c = 0; c < channels; c++) {
    mean[c] = static_cast<float>(parts[0].mean[c]);
    variance[c] = static_cast<float>(parts[0].squares[c] / rows);
  }
  const Floats inverse = InverseDeviation(variance, channels, *static_cast<float *>(kernel));
  NormaliseAll(x, {mean, inverse.data(), run.data(1)}, rows, channels, y);
}

void Inference(void *kernel, TF_OpKernelContext *context) {
  KernelRun run(context, 4);
  if (!run.ok()) return;
  const int64_t channels = run.size(1);
  float *const y = run.Allocate(0, run.shape(0));
  if (y == nullptr) return;
  const Floats inverse = InverseDeviation(run.data(3), channels, *static_cast<float *>(kernel));
  NormaliseAll(run.data(0), {run.data(2), inverse.data(), run.data(1)}, run.size(0) / channels, channels, y);
}

void Backward(void *kernel, TF_OpKernelContext *context) {
  KernelRun run(context, 5);
  if (!run.ok()) return;
  const int64_t channels = run.size(2), rows = run.size(0) / channels;
  float *const dx = run.Allocate(0, run.shape(0)), *const dbeta = run.Allocate(1, {channels});
  if (!run.ok()) return;
  const float *const dy = run.data(0), *const x = run.data(1);
  const Floats inverse = InverseDeviation(run.data(4), channels, *static_cast<float *>(kernel));
  const Normalisation by = {run.data(3), inverse.data(), run.data(2)};
  Crew &crew = TheCrew();
  std::vector<Doubles> sums(crew.size(), Doubles(channels)), products(sums);
  crew.Run([&](int part) {
    Floats chunk_sums(channels), chunk_products(channels);
    const int64_t last = rows * (part + 1) / crew.size();
    for (int64_t start = rows * part / crew.size(); start < last; start += kChunk) {
      std::fill(chunk_sums.begin(), chunk_sums.end(), 0.0f);
      std::fill(chunk_products.begin(), chunk_products.end(), 0.0f);
      for (int64_t r = start; r < std::min(last, start + kChunk); r++)
        AddGradients(dy + r * channels, x + r * channels, by, channels, chunk_sums.data(), chunk_products.data());
      for (int64_t c = 0; c < channels; c++) sums[part][c] += chunk_sums[c], products[part][c] += chunk_products[c];
    }
  });
  Floats offset(channels), slope(channels);
  for (int64_t c = 0; c < channels; c++) {
    double sum = 0, product = 0;
    for (int part = 0; part < crew.size(); part++) sum += sums[part][c], product += products[part][c];
    dbeta[c] = static_cast<float>(sum);
    offset[c] = static_cast<float>(sum / rows * inverse[c]);
    slope[c] = static_cast<float>(product / rows * inverse[c] * inverse[c] * inverse[c]);
  }
  crew.Split(rows, channels, [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; r++)
      InputGradient(dy + r * channels, x + r * channels, by, offset.data(), slope.data(), channels, dx + r * channels);
  });
}

}  // namespace

bool HasBatchNorm() {
  static const bool registered =
      HasAvx512() &&
      RegisterKernel({"EchoforgeBatchNormRelu",
                      {"epsilon: float"},
                      {"x: float", "beta: float"},
                      {"y: float", "mean: float", "variance: float"},
                      &ShapesOfInputs<0, 1, 1>,
                      &Create,
                      &Forward,
                      &Delete}) &&
      RegisterKernel({"EchoforgeBatchNormReluGradient",
                      {"epsilon: float"},
                      {"dy: float", "x: float", "beta: float", "mean: float", "variance: float"},
                      {"dx: float", "dbeta: float"},
                      &ShapesOfInputs<1, 2>,
                      &Create,
                      &Backward,
                      &Delete}) &&
      RegisterKernel({"EchoforgeBatchNormReluInference",
                      {"epsilon: float"},
                      {"x: float", "beta: float", "mean: float", "variance: float"},
                      {"y: float"},
                      &ShapesOfInputs<0>,
                      &Create,
                      &Inference,
                      &Delete});
  return registered;
}

}  // namespace tfnodejs
