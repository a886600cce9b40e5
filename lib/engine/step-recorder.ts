import { ownFilterGradient } from './filter-gradient.ts';
import { ownForward, ownInputGradient } from './own-convolution.ts';
import type { GraphBuilder } from './graph-builder.ts';
import type { NativeBackend, NativeBinding, OpAttribute, OutputInfo, TensorValues } from './native-backend.ts';
import { tf } from './tf.ts';

/**
 * Records a step as a TensorFlow graph. While a recorder is installed, every op that a tfjs kernel asks of the library becomes
 * a node, with its shape inferred and nothing computed: automatic differentiation, second derivatives and the optimiser are
 * recorded without knowing of it. What a step may not do fails here: read a value, use a tensor that is neither input nor
 * variable, give shapes that depend on data.
 */
export interface StepRecorder {
  /** A tensor of the step that stands for something given later. */
  placeholder(shape: readonly number[], dtype: 'float32' | 'int32'): tf.Tensor;
  /** A node of the graph, not a placeholder, with the value that a tensor of the step stands for. */
  outputOf(tensor: tf.Tensor): number;
  /** The placeholder that a tensor made by `placeholder` stands for. */
  inputOf(tensor: tf.Tensor): number;
  /** Lets the variable be read as a placeholder until `restore` gives it its value back. */
  substitute(variable: tf.Variable): Substitute;
  uninstall(): void;
}

/** What stands for a variable while a step is recorded. */
export interface Substitute {
  /** The placeholder as soon as something read the variable, otherwise null. */
  readonly placeholder: () => number | null;
  readonly restore: () => void;
}

/** The backend while a graph is recorded that takes our own kernels. */
let recordingBackend: NativeBackend | null = null;

/** The backend while a step is recorded that may hold our own kernels (CPU, AVX-512), otherwise null. */
export function ownKernels(): NativeBackend | null {
  return recordingBackend?.isUsingGpuDevice === false ? recordingBackend : null;
}

interface StandIn {
  readonly shape: readonly number[];
  placeholder: number | null;
}

/** Convolutions and matrix products: what bf16 doubles the speed of. All have one element type T of inputs and output. */
const reducible = new Set(['Conv2D', 'Conv2DBackpropInput', 'Conv2DBackpropFilter', 'MatMul', 'BatchMatMulV2']);

/** DataType of bfloat16 in TensorFlow's C interface, which tfjs does not know. */
export const bfloat16 = 14;

/** Constants of at least this many equal values are recorded as Fill. */
const fillFrom = 64;

/** Tensors of the step carry these numbers below any that tfjs uses or would release. */
const symbolic = (output: number): number => -2 - output;
const outputFrom = (id: number): number => -2 - id;

function uniform(values: TensorValues): boolean {
  const first = values[0];
  return values.every((value) => value === first);
}

/** @throws Error when the step does what a recorded step may not do; the message names the op */
export function installRecorder(options: {
  readonly step: string;
  readonly graph: GraphBuilder;
  readonly backend: NativeBackend;
  readonly precision: 'fp32' | 'bf16';
}): StepRecorder {
  const { step, graph, backend, precision } = options;
  const { binding } = backend;
  /** Negative ids of substituted variables, below all symbolic ones that a graph can have. */
  const variables = new Map<number, StandIn>();
  const reduced = new Map<number, number>();
  const typeAttribute = (name: string, value: number): OpAttribute => ({ name, type: binding.TF_ATTR_TYPE, value });

  const one = ([info]: OutputInfo[]): OutputInfo => {
    if (info === undefined) throw new RangeError(`${step}: a node without output`);
    return info;
  };
  const shapes = new Map<number, readonly number[]>();
  const noted = (info: OutputInfo): OutputInfo => {
    if (info.shape !== null) shapes.set(info.id, info.shape);
    return info;
  };
  const node = (
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    lengths = { list: 0, outputs: 1 },
  ): OutputInfo[] => graph.op(op, attributes, inputs, lengths).map(noted);
  /** Values of the integer constants, which mostly are shapes. */
  const integers = new Map<number, Int32Array>();
  const constant = (shape: readonly number[], dtype: number, values: TensorValues): number => {
    const { id } = noted(graph.constant(shape, dtype, values));
    if (values instanceof Int32Array) integers.set(id, values.slice());
    return id;
  };
  const placeholder = (shape: readonly number[], dtype: number): OutputInfo => noted(graph.placeholder(shape, dtype));
  const cast = (output: number, from: number, to: number): OutputInfo =>
    one(node('Cast', [typeAttribute('SrcT', from), typeAttribute('DstT', to)], [output]));

  const resolve = (op: string, id: number): number => {
    const variable = variables.get(id);
    if (variable !== undefined) {
      variable.placeholder ??= placeholder(variable.shape, binding.TF_FLOAT).id;
      return variable.placeholder;
    }
    if (id > -2) throw new Error(`${step}: ${op} takes a tensor that is neither an input nor a variable of the step`);
    return outputFrom(id);
  };

  /** The op in bfloat16 between casts; a tensor that several ops take is cast once. */
  const reducedOp = (op: string, attributes: readonly OpAttribute[], inputs: readonly number[]): OutputInfo[] => {
    const operands = inputs.map((input, i) => {
      if (isShapeInput(op, i)) return input;
      const lowered = reduced.get(input) ?? cast(input, binding.TF_FLOAT, bfloat16).id;
      reduced.set(input, lowered);
      return lowered;
    });
    const types = attributes.map((attribute) => (attribute.name === 'T' ? typeAttribute('T', bfloat16) : attribute));
    const [result] = node(op, types, operands);
    return result === undefined ? [] : [cast(result.id, bfloat16, binding.TF_FLOAT)];
  };

  /** Automatic differentiation asks for many casts and reshapes to what a tensor already is: they need no node. */
  const unchanged = (op: string, attributes: readonly OpAttribute[], inputs: readonly number[]): OutputInfo | null => {
    const [input = -1, sizes = -1] = inputs;
    const shape = shapes.get(input);
    const typeOf = (name: string): unknown => attributes.find((attribute) => attribute.name === name)?.value;
    if (shape === undefined) return null;
    if (op === 'Cast' && typeOf('SrcT') === typeOf('DstT'))
      return { id: input, shape: [...shape], dtype: Number(typeOf('DstT')) };
    const isReshape = op === 'Reshape' && integers.get(sizes)?.join() === shape.join();
    return isReshape ? { id: input, shape: [...shape], dtype: Number(typeOf('T')) } : null;
  };

  /** Whether our convolutions multiply in bfloat16; null where they cannot do what the precision asks. */
  const halves: OpAttribute | null =
    precision === 'bf16' && graph.kernels?.bfloat16 !== true
      ? null
      : { name: 'halves', type: binding.TF_ATTR_INT, value: precision === 'bf16' ? 1 : 0 };

  /** Our own kernels cannot infer their output's shape; their attribute `shape` says it. */
  const ensured = (op: string, attributes: readonly OpAttribute[], infos: OutputInfo[]): OutputInfo[] => {
    const shape = attributes.find(({ name }) => name === 'shape');
    if (!op.startsWith('Echoforge') || shape === undefined) return infos;
    return node('EnsureShape', [shape], [one(infos).id]);
  };

  /** Our own kernel for the gradient of a convolution in its filter, where it is the faster one; otherwise null. */
  const filterGradient = (attributes: readonly OpAttribute[], inputs: readonly number[]): OutputInfo[] | null => {
    const [x = -1, sizes = -1, dy = -1] = inputs;
    const shapesOf = { x: shapes.get(x), filter: integers.get(sizes), dy: shapes.get(dy) };
    if (ownKernels() === null) return null;
    if (shapesOf.x === undefined || shapesOf.filter === undefined || shapesOf.dy === undefined) return null;
    const filter = [...shapesOf.filter];
    const own = ownFilterGradient(attributes, { x: shapesOf.x, filter, dy: shapesOf.dy }, precision);
    if (own === null) return null;
    const shape = { name: 'shape', type: binding.TF_ATTR_SHAPE, value: filter };
    const integer = (name: 'kernel' | 'stride' | 'padding'): OpAttribute => {
      return { name, type: binding.TF_ATTR_INT, value: own[name] };
    };
    const name = own.winograd ? 'EchoforgeWinogradFilterGradient' : 'EchoforgeFilterGradient';
    if (own.winograd && halves === null) return null;
    const facts =
      own.winograd && halves !== null
        ? [integer('padding'), halves]
        : [integer('kernel'), integer('stride'), integer('padding')];
    return ensured(name, [shape], node(name, [...facts, shape], [x, dy]));
  };

  /** Our own convolution, or its gradient in the input, where it is the faster one; otherwise null. */
  const convolution = (
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
  ): OutputInfo[] | null => {
    const forward = op === 'Conv2D';
    if (ownKernels() === null || halves === null || (!forward && op !== 'Conv2DBackpropInput')) return null;
    const [x = -1, filter = -1] = forward ? inputs : [inputs[2] ?? -1, inputs[1] ?? -1];
    const [input, weights] = [shapes.get(x), shapes.get(filter)];
    if (input === undefined || weights === undefined) return null;
    const own = forward
      ? ownForward(attributes, { x: input, filter: weights })
      : ownInputGradient(attributes, { dy: input, filter: weights });
    if (own === null) return null;
    const padding = { name: 'padding', type: binding.TF_ATTR_INT, value: own.padding };
    const shape = { name: 'shape', type: binding.TF_ATTR_SHAPE, value: [...own.shape] };
    const name = forward ? 'EchoforgeConvolution' : 'EchoforgeConvolutionInput';
    return ensured(name, [shape], node(name, [padding, halves, shape], [x, filter]));
  };

  const recording: Pick<NativeBinding, 'createTensor' | 'executeOp' | 'tensorDataSync'> = {
    createTensor(shape, dtype, values) {
      const filled = dtype === binding.TF_FLOAT && values.length >= fillFrom && uniform(values);
      if (!filled) return symbolic(constant(shape, dtype, values));
      const dims = constant([shape.length], binding.TF_INT32, Int32Array.from(shape));
      const value = constant([], dtype, values.slice(0, 1));
      const attributes = [typeAttribute('T', dtype), typeAttribute('index_type', binding.TF_INT32)];
      return symbolic(one(node('Fill', attributes, [dims, value])).id);
    },
    executeOp(op, attributes, ids, outputs) {
      const inputs = ids.map((id) => resolve(op, id));
      const same = unchanged(op, attributes, inputs);
      if (same !== null) return [{ ...same, id: symbolic(same.id) }];
      const list = attributes.find(({ name, type }) => name === 'N' && type === binding.TF_ATTR_INT);
      const own =
        op === 'Conv2DBackpropFilter' ? filterGradient(attributes, inputs) : convolution(op, attributes, inputs);
      const lower = precision === 'bf16' && reducible.has(op);
      const infos =
        own ??
        (lower
          ? reducedOp(op, attributes, inputs)
          : node(op, attributes, inputs, { list: list === undefined ? 0 : Number(list.value), outputs }));
      return ensured(op, attributes, infos).map(({ id, shape, dtype }) => {
        // What batch normalisation hands to its own gradient has a size that only the device knows.
        if (shape === null && op !== 'FusedBatchNormV3')
          throw new Error(`${step}: the shape of what ${op} gives depends on data`);
        return { id: symbolic(id), shape: shape ?? [0], dtype };
      });
    },
    tensorDataSync() {
      throw new Error(`${step}: a recorded step may not read values; make what it needs an input`);
    },
  };

  // Constants come from the prototype, whose functions cannot be assigned over.
  const overrides = Object.entries(recording).map(([name, value]) => [name, { value }] as const);
  backend.binding = Object.create(binding, Object.fromEntries(overrides)) as NativeBinding;
  recordingBackend = graph.kernels === null ? null : backend;
  let substituted = 0;
  return {
    placeholder(shape, dtype) {
      const type = dtype === 'float32' ? binding.TF_FLOAT : binding.TF_INT32;
      const info = placeholder(shape, type);
      return backend.createOutputTensor({ ...info, id: symbolic(info.id) });
    },
    outputOf: (tensor) => {
      const inputs = backend.getInputTensorIds([tensor]).map((id) => resolve('the result', id));
      const type = tensor.dtype === 'float32' ? binding.TF_FLOAT : binding.TF_INT32;
      return one(node('Identity', [typeAttribute('T', type)], inputs)).id;
    },
    inputOf: ({ dataId }) => outputFrom(backend.tensorMap.get(dataId).id),
    substitute(variable) {
      const entry = backend.tensorMap.get(variable.dataId);
      const { id, values } = entry;
      if (variables.has(id)) throw new Error(`${step}: ${variable.name} shares its value with another variable`);
      const value = tf.keep(tf.clone(variable as tf.Tensor)); // the value outlives an assignment
      const standIn = Number.MIN_SAFE_INTEGER + substituted++;
      const read: StandIn = { shape: variable.shape, placeholder: null };
      variables.set(standIn, read);
      entry.id = standIn;
      entry.values = null;
      return {
        placeholder: () => read.placeholder,
        restore() {
          entry.id = id;
          entry.values = values;
          if (variable.dataId !== value.dataId) variable.assign(value);
          value.dispose();
        },
      };
    },
    uninstall() {
      recordingBackend = null;
      backend.binding = binding;
    },
  };
}

/** Whether an input of a convolution's gradient is a shape. */
function isShapeInput(op: string, index: number): boolean {
  return (op === 'Conv2DBackpropInput' && index === 0) || (op === 'Conv2DBackpropFilter' && index === 1);
}
