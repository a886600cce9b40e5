#ifndef ECHOFORGE_UPFIRDN_H_
#define ECHOFORGE_UPFIRDN_H_

namespace tfnodejs {

// Registers EchoforgeUpfirdn (x [N, H, W, C] -> [N, OH, OW, C]) at the first call; attributes up, down, p0, p1, gain, and shape,
// which whoever adds the node gives. CPU only; false where the processor lacks AVX-512.
bool HasUpfirdn();

}  // namespace tfnodejs

#endif  // ECHOFORGE_UPFIRDN_H_
