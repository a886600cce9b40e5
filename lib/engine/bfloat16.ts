import type { NativeBackend } from './native-backend.ts';
import { bfloat16 } from './step-recorder.ts';

let exact: boolean | null = null;

/**
 * Whether the library adds up products of bfloat16 in single precision and rounds the sum once, as it does in oneDNN's kernels.
 * Without these (a processor without AVX-512, or TF_ENABLE_ONEDNN_OPTS=0) the gradient of a filter is summed in bfloat16, where
 * 256 + 1 is 256, and products of matrices are cut off instead of rounded. Asked of the library once per process, by such a sum.
 */
export function sumsBfloat16Exactly(backend: NativeBackend): boolean {
  exact ??= backend.isUsingGpuDevice || sumOfOnes(backend) === ones;
  return exact;
}

/** A power of two, so that the sum is a bfloat16; more than 256 for each of several sums that a kernel may have side by side. */
const ones = 2 ** 16;

/** dw of a 1x1 convolution from one map to one: the sum over all pixels of x dy. Null where the library refuses. */
function sumOfOnes({ binding }: NativeBackend): number | null {
  const { TF_ATTR_TYPE, TF_ATTR_INT, TF_ATTR_STRING, TF_FLOAT, TF_INT32 } = binding;
  const held: number[] = [];
  const hold = (id: number): number => {
    held.push(id);
    return id;
  };
  const cast = (id: number, from: number, to: number): number => {
    const attributes = Object.entries({ SrcT: from, DstT: to }).map(([name, value]) => {
      return { name, type: TF_ATTR_TYPE, value };
    });
    return hold(binding.executeOp('Cast', attributes, [id], 1)[0]?.id ?? 0);
  };
  try {
    const side = Math.sqrt(ones);
    const image = hold(binding.createTensor([1, side, side, 1], TF_FLOAT, new Float32Array(ones).fill(1)));
    const reduced = cast(image, TF_FLOAT, bfloat16);
    const shape = hold(binding.createTensor([4], TF_INT32, Int32Array.of(1, 1, 1, 1)));
    const attributes = [
      { name: 'T', type: TF_ATTR_TYPE, value: bfloat16 },
      { name: 'strides', type: TF_ATTR_INT, value: [1, 1, 1, 1] },
      { name: 'padding', type: TF_ATTR_STRING, value: 'VALID' },
    ];
    const [sum] = binding.executeOp('Conv2DBackpropFilter', attributes, [reduced, shape, reduced], 1);
    const [value = 0] = binding.tensorDataSync(cast(hold(sum?.id ?? 0), bfloat16, TF_FLOAT)) as Float32Array; // by its type
    return value;
  } catch {
    return null; // oneDNN held to narrower vectors by its own settings
  } finally {
    for (const id of held) binding.deleteTensor(id);
  }
}
