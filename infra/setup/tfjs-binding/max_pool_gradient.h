#ifndef ECHOFORGE_MAX_POOL_GRADIENT_H_
#define ECHOFORGE_MAX_POOL_GRADIENT_H_

namespace tfnodejs {

// Registers EchoforgeMaxPoolGradient (x, y, dy -> dx) at the first call: windows of 3x3 at every second pixel, none beyond the
// image. CPU only; false where the processor lacks AVX-512.
bool HasMaxPoolGradient();

}  // namespace tfnodejs

#endif  // ECHOFORGE_MAX_POOL_GRADIENT_H_
