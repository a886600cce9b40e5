// The end of a residual block, max(0, x + scale up), in one pass over memory instead of three.

#include "residual.h"

#include "crew.h"
#include "kernel_op.h"
#include "vectors.h"

namespace tfnodejs {
namespace {

FAST void Add(const float *__restrict x, const float *__restrict up, float scale, int64_t from, int64_t to,
              float *__restrict y) {
  for (int64_t i = from; i < to; i++) {
    // Rounded once everywhere. Left to the compiler, some remainders of the loop are rounded twice, and an image's bits then
    // depend on its place in the batch.
    const float sum = __builtin_fmaf(scale, up[i], x[i]);
    y[i] = sum <= 0 ? 0 : sum;  // what is not a number stays so
  }
}

void *Create(TF_OpKernelConstruction *construction) {
  auto *scale = new float(0);
  ReadAttributes(construction, {}, {{"scale", scale}});
  return scale;
}

void Delete(void *kernel) { delete static_cast<float *>(kernel); }

void Compute(void *kernel, TF_OpKernelContext *context) {
  KernelRun run(context, 2);
  if (!run.ok()) return;
  float *const y = run.Allocate(0, run.shape(0));
  if (y == nullptr) return;
  TheCrew().Split(run.size(0), 1, [&](int64_t from, int64_t to) {
    Add(run.data(0), run.data(1), *static_cast<float *>(kernel), from, to, y);
  });
}

}  // namespace

bool HasResidual() {
  static const bool registered = HasAvx512() && RegisterKernel({"EchoforgeResidualRelu",
                                                                {"scale: float"},
                                                                {"x: float", "up: float"},
                                                                {"y: float"},
                                                                &ShapesOfInputs<0>,
                                                                &Create,
                                                                &Compute,
                                                                &Delete});
  return registered;
}

}  // namespace tfnodejs
