#ifndef ECHOFORGE_KERNEL_OP_H_
#define ECHOFORGE_KERNEL_OP_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "kernel_api.h"
#include "tf_auto_status.h"

namespace tfnodejs {

// What every op of ours needs around its computation: registration, attributes, tensors in and out. All tensors are float32.

struct KernelSpec {
  const char *op;
  std::initializer_list<const char *> attributes, inputs, outputs;
  // Null where the C interface cannot infer it (it reads no attributes); whoever adds the node ensures the shape then.
  void (*infer_shapes)(TF_ShapeInferenceContext *, TF_Status *);
  // Null, and `destroy` too, for an op without attributes.
  void *(*create)(TF_OpKernelConstruction *);
  void (*compute)(void *, TF_OpKernelContext *);
  void (*destroy)(void *);
};

// For infer_shapes: each output has the shape of the input named by its number.
template <int... INPUTS>
void ShapesOfInputs(TF_ShapeInferenceContext *context, TF_Status *status) {
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  int output = 0;
  for (const int input : {INPUTS...}) {
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextGetInput(context, input, shape, status);
    if (TF_GetCode(status) == TF_OK) TF_ShapeInferenceContextSetOutput(context, output++, shape, status);
  }
  TF_DeleteShapeHandle(shape);
}

// Registers op and CPU kernel; false where the library refuses.
bool RegisterKernel(const KernelSpec &spec);

struct IntegerAttribute {
  const char *name;
  int32_t *value;
};
struct FloatAttribute {
  const char *name;
  float *value;
};

// Reads the attributes of a node; tells the library when one is missing.
void ReadAttributes(TF_OpKernelConstruction *construction, std::initializer_list<IntegerAttribute> integers,
                    std::initializer_list<FloatAttribute> floats = {});

// The tensors of one run of a kernel. What fails makes the run fail, and later calls do nothing.
class KernelRun {
 public:
  KernelRun(TF_OpKernelContext *context, int inputs);
  ~KernelRun();
  KernelRun(const KernelRun &) = delete;
  bool ok() { return TF_GetCode(status_.status) == TF_OK; }
  int64_t side(int input, int dimension) const { return TF_Dim(inputs_[input], dimension); }
  int64_t size(int input) const { return TF_TensorElementCount(inputs_[input]); }
  std::vector<int64_t> shape(int input) const;
  const float *data(int input) const { return static_cast<const float *>(TF_TensorData(inputs_[input])); }
  // Null when it could not be allocated.
  float *Allocate(int output, const std::vector<int64_t> &shape);

 private:
  TF_OpKernelContext *const context_;
  TF_AutoStatus status_;
  std::vector<TF_Tensor *> inputs_, outputs_;
};

}  // namespace tfnodejs

#endif  // ECHOFORGE_KERNEL_OP_H_
