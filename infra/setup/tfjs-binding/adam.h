#ifndef ECHOFORGE_ADAM_H_
#define ECHOFORGE_ADAM_H_

namespace tfnodejs {

// Registers EchoforgeAdamWithoutMomentum (x, gradient, rate, v -> x', v') and EchoforgeAdam (x, gradient, rate, v, m -> x', v',
// m') at the first call; attributes beta1, beta2, epsilon. CPU only; false where the processor lacks AVX-512.
bool HasAdam();

}  // namespace tfnodejs

#endif  // ECHOFORGE_ADAM_H_
