#ifndef ECHOFORGE_WINOGRAD_FILTER_GRADIENT_H_
#define ECHOFORGE_WINOGRAD_FILTER_GRADIENT_H_

namespace tfnodejs {

// Registers EchoforgeWinogradFilterGradient at the first call: x [N, H, W, Cin], dy [N, OH, OW, Cout] -> [3, 3, Cin, Cout], all
// float32, stride 1, Cout a multiple of 16; attributes padding (on all sides), halves (1: the products are
// of bfloat16; takes HasBfloat16) and shape, which whoever adds the node gives. CPU only; false where the processor lacks
// AVX-512.
bool HasWinogradFilterGradient();

}  // namespace tfnodejs

#endif  // ECHOFORGE_WINOGRAD_FILTER_GRADIENT_H_
