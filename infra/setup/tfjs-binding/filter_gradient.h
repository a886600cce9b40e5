#ifndef ECHOFORGE_FILTER_GRADIENT_H_
#define ECHOFORGE_FILTER_GRADIENT_H_

namespace tfnodejs {

// An op for recorded steps: x [N, H, W, Cin], dy [N, OH, OW, Cout] -> [k, k, Cin, Cout], all float32, Cout a multiple of 16;
// attributes kernel (k), stride, padding (before, on both axes), and shape, which whoever adds the node gives. CPU only.
constexpr char kFilterGradientOp[] = "EchoforgeFilterGradient";

// Registers the op at the first call; false where the processor lacks AVX-512 or the library refuses it.
bool HasFilterGradient();

}  // namespace tfnodejs

#endif  // ECHOFORGE_FILTER_GRADIENT_H_
