import type { NativeBinding, OpAttribute, TensorValues } from './native-backend.ts';
import { bfloat16 } from './step-recorder.ts';

/** What is known of a tensor of a graph; `shape` is null where data decides it, `values` unless it is a short constant. */
export interface Operand {
  readonly shape: readonly number[] | null;
  readonly dtype: number;
  readonly values: TensorValues | null;
}

export type ShapeProbe = (
  op: string,
  attributes: readonly OpAttribute[],
  operands: readonly Operand[],
  outputs: number,
) => Pick<Operand, 'shape' | 'dtype'>[];

/**
 * Shapes and types of what an op gives, for bindings that cannot infer them: the op runs on stand-ins of all zeros, which hold no
 * more memory than that one op, and where integers or truth values go in or out, which could be or count a size, also on ones: a
 * shape that changes depends on data. Short constants, which mostly are shapes, stand for themselves. The same op on the same
 * shapes is asked once.
 */
export function createShapeProbe(binding: NativeBinding): ShapeProbe {
  const known = new Map<string, Pick<Operand, 'shape' | 'dtype'>[]>();
  return (op, attributes, operands, outputs) => {
    const given = operands.map(({ shape, dtype, values }) => [dtype, shape, values?.join()]);
    const key = JSON.stringify([op, attributes, given]);
    const before = known.get(key);
    if (before !== undefined) return before;
    const zeros = runOn(binding, { op, attributes, operands, outputs, fill: 0 });
    const data = [...operands.filter(({ values }) => values === null), ...zeros];
    const counts = data.some(({ dtype }) => dtype !== binding.TF_FLOAT && dtype !== bfloat16);
    const ones = counts ? tryOn(binding, { op, attributes, operands, outputs, fill: 1 }) : zeros;
    const found = zeros.map(({ shape, dtype }, i) => {
      return { shape: ones?.[i]?.shape.join() === shape.join() ? shape : null, dtype };
    });
    known.set(key, found);
    return found;
  };
}

interface Run {
  readonly op: string;
  readonly attributes: readonly OpAttribute[];
  readonly operands: readonly Operand[];
  readonly outputs: number;
  readonly fill: 0 | 1;
}

/** Null where the op refuses the stand-ins: then its result depends on data in some way. */
function tryOn(binding: NativeBinding, run: Run): { shape: number[]; dtype: number }[] | null {
  try {
    return runOn(binding, run);
  } catch {
    return null;
  }
}

function runOn(
  binding: NativeBinding,
  { op, attributes, operands, outputs, fill }: Run,
): { shape: number[]; dtype: number }[] {
  const held: number[] = [];
  const hold = (id: number): number => {
    held.push(id);
    return id;
  };
  try {
    const inputs = operands.map((operand) => standIn(binding, operand, fill, hold));
    return binding.executeOp(op, attributes, inputs, outputs).map(({ id, shape, dtype }) => {
      hold(id);
      return { shape: shape ?? [], dtype };
    });
  } finally {
    for (const id of held) binding.deleteTensor(id);
  }
}

/** The constant itself, or a tensor of `fill` everywhere. */
function standIn(
  binding: NativeBinding,
  { shape, dtype, values }: Operand,
  fill: 0 | 1,
  hold: (id: number) => number,
): number {
  const { TF_ATTR_TYPE, TF_FLOAT, TF_INT32 } = binding;
  const size = shape ?? [0];
  if (values !== null) return hold(binding.createTensor(size, dtype, values));
  const execute = (op: string, types: Readonly<Record<string, number>>, inputs: readonly number[]): number => {
    const attributes = Object.entries(types).map(([name, value]) => ({ name, type: TF_ATTR_TYPE, value }));
    return hold(binding.executeOp(op, attributes, inputs, 1)[0]?.id ?? 0);
  };
  const dims = hold(binding.createTensor([size.length], TF_INT32, Int32Array.from(size)));
  const value = hold(binding.createTensor([], TF_FLOAT, Float32Array.of(fill)));
  const filled = execute('Fill', { T: TF_FLOAT, index_type: TF_INT32 }, [dims, value]);
  return dtype === TF_FLOAT ? filled : execute('Cast', { SrcT: TF_FLOAT, DstT: dtype }, [filled]);
}
