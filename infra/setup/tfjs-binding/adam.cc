// Adam (Kingma and Ba 2015, end of section 2) in one pass over memory: v' = beta2 v + (1 - beta2) g^2,
// m' = beta1 m + (1 - beta1) g, x' = x - rate m' / (sqrt(v') + epsilon). Without m where beta1 is 0.

#include "adam.h"

#include <algorithm>
#include <cmath>

#include "crew.h"
#include "kernel_api.h"
#include "tf_auto_status.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

struct Attributes {
  float beta1, beta2, epsilon;
};

void *Create(TF_OpKernelConstruction *construction) {
  auto *attributes = new Attributes{0, 0, 0};
  TF_AutoStatus status;
  const struct {
    const char *name;
    float *value;
  } wanted[] = {{"beta1", &attributes->beta1}, {"beta2", &attributes->beta2}, {"epsilon", &attributes->epsilon}};
  for (const auto &[name, value] : wanted)
    if (TF_GetCode(status.status) == TF_OK)
      TF_OpKernelConstruction_GetAttrFloat(construction, name, value, status.status);
  if (TF_GetCode(status.status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status.status);
  return attributes;
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
  constexpr int kInputs = MOMENTUM ? 5 : 4, kOutputs = MOMENTUM ? 3 : 2;
  TF_AutoStatus status;
  TF_Tensor *inputs[kInputs] = {}, *outputs[kOutputs] = {};
  for (int i = 0; i < kInputs && TF_GetCode(status.status) == TF_OK; i++)
    TF_GetInput(context, i, &inputs[i], status.status);
  for (int i = 0; i < kOutputs && TF_GetCode(status.status) == TF_OK; i++) {
    int64_t shape[8];
    const int rank = std::min(8, TF_NumDims(inputs[0]));
    for (int d = 0; d < rank; d++) shape[d] = TF_Dim(inputs[0], d);
    outputs[i] = TF_AllocateOutput(context, i, TF_FLOAT, shape, rank, TF_TensorByteSize(inputs[0]), status.status);
  }
  if (TF_GetCode(status.status) == TF_OK) {
    const auto data = [](const TF_Tensor *tensor) { return static_cast<float *>(TF_TensorData(tensor)); };
    const Buffers buffers = {data(inputs[0]),  data(inputs[1]),  data(inputs[2]),
                             data(inputs[3]),  MOMENTUM ? data(inputs[kInputs - 1]) : nullptr,
                             data(outputs[0]), data(outputs[1]), MOMENTUM ? data(outputs[kOutputs - 1]) : nullptr};
    const auto &attributes = *static_cast<Attributes *>(kernel);
    const int64_t size = TF_TensorElementCount(inputs[0]);
    Crew &crew = TheCrew();
    if (size < kSmall)
      Move<MOMENTUM>(attributes, buffers, 0, size);
    else
      crew.Run([&](int part) {
        Move<MOMENTUM>(attributes, buffers, size * part / crew.size(), size * (part + 1) / crew.size());
      });
  } else {
    TF_OpKernelContext_Failure(context, status.status);
  }
  for (TF_Tensor *tensor : inputs)
    if (tensor != nullptr) TF_DeleteTensor(tensor);
  for (TF_Tensor *tensor : outputs)
    if (tensor != nullptr) TF_DeleteTensor(tensor);
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

template <bool MOMENTUM>
bool Register(const char *name) {
  TF_AutoStatus status;
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder(name);
  for (const char *attribute : {"beta1: float", "beta2: float", "epsilon: float"})
    TF_OpDefinitionBuilderAddAttr(op, attribute);
  for (const char *input : {"x: float", "gradient: float", "rate: float", "v: float"})
    TF_OpDefinitionBuilderAddInput(op, input);
  if (MOMENTUM) TF_OpDefinitionBuilderAddInput(op, "m: float");
  for (const char *output : {"new_x: float", "new_v: float"}) TF_OpDefinitionBuilderAddOutput(op, output);
  if (MOMENTUM) TF_OpDefinitionBuilderAddOutput(op, "new_m: float");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, &InferShapes<MOMENTUM ? 3 : 2>);
  TF_RegisterOpDefinition(op, status.status);
  if (TF_GetCode(status.status) != TF_OK) return false;
  TF_KernelBuilder *kernel = TF_NewKernelBuilder(name, "CPU", &Create, &Compute<MOMENTUM>, &Delete);
  TF_RegisterKernelBuilder(name, kernel, status.status);
  return TF_GetCode(status.status) == TF_OK;
}

}  // namespace

bool HasAdam() {
  static const bool registered = HasAvx512() && Register<false>("EchoforgeAdamWithoutMomentum") &&
                                 Register<true>("EchoforgeAdam");
  return registered;
}

}  // namespace tfnodejs
