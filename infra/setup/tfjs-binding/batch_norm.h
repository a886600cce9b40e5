#ifndef ECHOFORGE_BATCH_NORM_H_
#define ECHOFORGE_BATCH_NORM_H_

namespace tfnodejs {

// Registers EchoforgeBatchNormRelu (x, beta -> y, mean, variance), EchoforgeBatchNormReluGradient (dy, x, beta, mean, variance
// -> dx, dbeta) and EchoforgeBatchNormReluInference (x, beta, mean, variance -> y) at the first call; attribute epsilon. CPU
// only; false where the processor lacks AVX-512.
bool HasBatchNorm();

}  // namespace tfnodejs

#endif  // ECHOFORGE_BATCH_NORM_H_
