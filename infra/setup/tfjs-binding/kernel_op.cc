#include "kernel_op.h"

namespace tfnodejs {

bool RegisterKernel(const KernelSpec &spec) {
  TF_AutoStatus status;
  TF_OpDefinitionBuilder *op = TF_NewOpDefinitionBuilder(spec.op);
  for (const char *attribute : spec.attributes) TF_OpDefinitionBuilderAddAttr(op, attribute);
  for (const char *input : spec.inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char *output : spec.outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(
      op, spec.infer_shapes == nullptr ? &TF_ShapeInferenceContextSetUnknownShape : spec.infer_shapes);
  TF_RegisterOpDefinition(op, status.status);
  if (TF_GetCode(status.status) != TF_OK) return false;
  TF_KernelBuilder *kernel = TF_NewKernelBuilder(spec.op, "CPU", spec.create, spec.compute, spec.destroy);
  TF_RegisterKernelBuilder(spec.op, kernel, status.status);
  return TF_GetCode(status.status) == TF_OK;
}

void ReadAttributes(TF_OpKernelConstruction *construction, std::initializer_list<IntegerAttribute> integers,
                    std::initializer_list<FloatAttribute> floats) {
  TF_AutoStatus status;
  for (const auto &[name, value] : integers)
    if (TF_GetCode(status.status) == TF_OK)
      TF_OpKernelConstruction_GetAttrInt32(construction, name, value, status.status);
  for (const auto &[name, value] : floats)
    if (TF_GetCode(status.status) == TF_OK)
      TF_OpKernelConstruction_GetAttrFloat(construction, name, value, status.status);
  if (TF_GetCode(status.status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status.status);
}

KernelRun::KernelRun(TF_OpKernelContext *context, int inputs) : context_(context), inputs_(inputs, nullptr) {
  for (int i = 0; i < inputs && ok(); i++) TF_GetInput(context, i, &inputs_[i], status_.status);
}

KernelRun::~KernelRun() {
  if (!ok()) TF_OpKernelContext_Failure(context_, status_.status);
  for (const auto &tensors : {inputs_, outputs_})
    for (TF_Tensor *tensor : tensors)
      if (tensor != nullptr) TF_DeleteTensor(tensor);
}

std::vector<int64_t> KernelRun::shape(int input) const {
  std::vector<int64_t> sides;
  for (int d = 0; d < TF_NumDims(inputs_[input]); d++) sides.push_back(side(input, d));
  return sides;
}

float *KernelRun::Allocate(int output, const std::vector<int64_t> &shape) {
  if (!ok()) return nullptr;
  size_t bytes = sizeof(float);
  for (const int64_t side : shape) bytes *= side;
  TF_Tensor *tensor =
      TF_AllocateOutput(context_, output, TF_FLOAT, shape.data(), static_cast<int>(shape.size()), bytes, status_.status);
  outputs_.push_back(tensor);
  return ok() ? static_cast<float *>(TF_TensorData(tensor)) : nullptr;
}

}  // namespace tfnodejs
