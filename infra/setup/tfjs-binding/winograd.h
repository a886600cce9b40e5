#ifndef ECHOFORGE_WINOGRAD_H_
#define ECHOFORGE_WINOGRAD_H_

namespace tfnodejs {

// Registers two ops at the first call, for 3x3 filters, stride 1, float32: EchoforgeConvolution (x [N, H, W, Cin], filter
// [3, 3, Cin, Cout] -> y, Cout a multiple of 16) and EchoforgeConvolutionInput (dy, filter -> dx, Cin a multiple of 16);
// attributes padding (of the op itself, on all sides), halves (1: the products are of bfloat16 and Cin, or Cout, is even; takes
// HasBfloat16) and shape, which whoever adds the node gives. CPU only; false where the processor lacks AVX-512.
bool HasWinograd();

}  // namespace tfnodejs

#endif  // ECHOFORGE_WINOGRAD_H_
