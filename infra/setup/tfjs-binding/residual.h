#ifndef ECHOFORGE_RESIDUAL_H_
#define ECHOFORGE_RESIDUAL_H_

namespace tfnodejs {

// Registers EchoforgeResidualRelu (x, up -> max(0, x + scale up), all of one shape) at the first call; attribute scale. CPU
// only; false where the processor lacks AVX-512.
bool HasResidual();

}  // namespace tfnodejs

#endif  // ECHOFORGE_RESIDUAL_H_
