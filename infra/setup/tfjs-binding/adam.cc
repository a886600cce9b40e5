// Adam (Kingma and Ba 2015, end of section 2) in one pass over memory: v' = beta2 v + (1 - beta2) g^2,
// m' = beta1 m + (1 - beta1) g, x' = x - rate m' / (sqrt(v') + epsilon). Without m where beta1 is 0.

#include "adam.h"

#include <cmath>

#include "crew.h"
#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

struct Attributes {
  float beta1, beta2, epsilon;
};

void *Create(TF_OpKernelConstruction *construction) {
  auto *a = new Attributes{0, 0, 0};
  ReadAttributes(construction, {}, {{"beta1", &a->beta1}, {"beta2", &a->beta2}, {"epsilon", &a->epsilon}});
  return a;
}

void Delete(void *kernel) { delete static_cast<Attributes *>(kernel); }

struct Buffers {
  const float *x, *gradient, *rate, *v, *m;
  float *new_x, *new_v, *new_m;
};

template <bool MOMENTUM>
FAST void Move(const Attributes &a, const Buffers &b, int64_t from, int64_t to) {
  const float rate = *b.rate, beta1 = a.beta1, beta2 = a.beta2, epsilon = a.epsilon;
  const float *__restrict x = b.x, *__restrict gradient = b.gradient, *__restrict v = b.v, *__restrict m = b.m;
  float *__restrict new_x = b.new_x, *__restrict new_v = b.new_v, *__restrict new_m = b.new_m;
  for (int64_t i = from; i < to; i++) {
    const float g = gradient[i];
    const float square = v[i] * beta2 + g * g * (1 - beta2);
    const float mean = MOMENTUM ? m[i] * beta1 + g * (1 - beta1) : g;
    new_v[i] = square;
    if (MOMENTUM) new_m[i] = mean;
    new_x[i] = x[i] - mean / (std::sqrt(square) + epsilon) * rate;
  }
}

template <bool MOMENTUM>
void Compute(void *kernel, TF_OpKernelContext *context) {
  const auto &attributes = *static_cast<Attributes *>(kernel);
  KernelRun run(context, MOMENTUM ? 5 : 4);
  if (!run.ok()) return;
  const std::vector<int64_t> shape = run.shape(0);
  float *const new_x = run.Allocate(0, shape), *const new_v = run.Allocate(1, shape);
  float *const new_m = MOMENTUM ? run.Allocate(2, shape) : nullptr;
  if (!run.ok()) return;
  const Buffers buffers = {run.data(0), run.data(1), run.data(2), run.data(3), MOMENTUM ? run.data(4) : nullptr,
                           new_x,       new_v,       new_m};
  TheCrew().Split(run.size(0), 1, [&](int64_t from, int64_t to) { Move<MOMENTUM>(attributes, buffers, from, to); });
}

}  // namespace

bool HasAdam() {
  static const bool registered =
      HasAvx512() &&
      RegisterKernel({"EchoforgeAdamWithoutMomentum",
                      {"beta1: float", "beta2: float", "epsilon: float"},
                      {"x: float", "gradient: float", "rate: float", "v: float"},
                      {"new_x: float", "new_v: float"},
                      &ShapesOfInputs<0, 0>,
                      &Create,
                      &Compute<false>,
                      &Delete}) &&
      RegisterKernel({"EchoforgeAdam",
                      {"beta1: float", "beta2: float", "epsilon: float"},
                      {"x: float", "gradient: float", "rate: float", "v: float", "m: float"},
                      {"new_x: float", "new_v: float", "new_m: float"},
                      &ShapesOfInputs<0, 0, 0>,
                      &Create,
                      &Compute<true>,
                      &Delete});
  return registered;
}

}  // namespace tfnodejs
