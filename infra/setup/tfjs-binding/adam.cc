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
__attribute__((target("avx512f"), optimize("O3", "no-math-errno"))) void Move(const Attributes &a, const Buffers &b, int64_t from,
                                                              int64_t to) {
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

// Fewer values than this are not worth a second thread.
constexpr int64_t kSmall = 1 << 14;

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
  const int64_t size = run.size(0);
  Crew &crew = TheCrew();
  if (size < kSmall)
    Move<MOMENTUM>(attributes, buffers, 0, size);
  else
    crew.Run([&](int part) {
      Move<MOMENTUM>(attributes, buffers, size * part / crew.size(), size * (part + 1) / crew.size());
    });
}

// Every output has the shape of the variable.
template <int OUTPUTS>
void InferShapes(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, 0, shape, status);
  for (int i = 0; i < OUTPUTS && TF_GetCode(status) == TF_OK; i++)
    TF_ShapeInferenceContextSetOutput(context, i, shape, status);
  TF_DeleteShapeHandle(shape);
}

}  // namespace

bool HasAdam() {
  static const bool registered =
      HasAvx512() &&
      RegisterKernel({"EchoforgeAdamWithoutMomentum",
                      {"beta1: float", "beta2: float", "epsilon: float"},
                      {"x: float", "gradient: float", "rate: float", "v: float"},
                      {"new_x: float", "new_v: float"},
                      &InferShapes<2>,
                      &Create,
                      &Compute<false>,
                      &Delete}) &&
      RegisterKernel({"EchoforgeAdam",
                      {"beta1: float", "beta2: float", "epsilon: float"},
                      {"x: float", "gradient: float", "rate: float", "v: float", "m: float"},
                      {"new_x: float", "new_v: float", "new_m: float"},
                      &InferShapes<3>,
                      &Create,
                      &Compute<true>,
                      &Delete});
  return registered;
}

}  // namespace tfnodejs
