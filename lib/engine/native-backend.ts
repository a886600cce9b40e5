import { tf } from './tf.ts';

/** What we use of the tfjs-node backend beyond the kernel interface: running TensorFlow ops that tfjs has no kernel for. */

export interface OpAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

/** A tensor of the library, or the output of a node of a graph; `shape` is null where a graph cannot know it. */
export interface OutputInfo {
  readonly id: number;
  readonly shape: number[] | null;
  readonly dtype: number;
}

/** Values as the library takes them; strings never occur in steps. */
export type TensorValues = Float32Array | Int32Array | Uint8Array;

/** The addon's binding. */
export interface NativeBinding {
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_SHAPE: number;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_BOOL: number;
  readonly TF_Version: string;
  createTensor(shape: readonly number[], dtype: number, values: TensorValues): number;
  executeOp(op: string, attributes: readonly OpAttribute[], inputs: readonly number[], outputs: number): OutputInfo[];
  deleteTensor(id: number): void;
  tensorDataSync(id: number): unknown;
  /** Opens a session on the graph of a SavedModel folder. */
  loadSavedModel(dir: string, tags: string): number;
  /** `feeds` and `fetches`: outputs of nodes as `name:index`, joined by commas. */
  runSavedModel(session: number, ids: readonly number[], feeds: string, fetches: string): OutputInfo[];
  deleteSavedModel(session: number): void;
}

/** The part of the binding that only our build of the addon has (infra/setup/tfjs-binding/step_graph.cc). */
export interface GraphBinding extends NativeBinding {
  /** Whether our own CPU kernels exist (infra/setup/tfjs-binding), which takes AVX-512. */
  readonly hasKernels: boolean;
  /** Whether they can also multiply in bfloat16, which takes AVX512-BF16. */
  readonly hasBfloat16Kernels: boolean;
  graphCreate(): number;
  graphPlaceholder(graph: number, shape: readonly number[], dtype: number): OutputInfo[];
  graphConstant(graph: number, shape: readonly number[], dtype: number, values: TensorValues): OutputInfo[];
  /** The first `listLength` inputs are the op's list argument, if it has one. */
  graphOp(
    graph: number,
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    listLength: number,
  ): OutputInfo[];
  /** Registers the graph as an op `name` for executeOp, from placeholders to outputs. */
  createFunction(graph: number, name: string, inputs: readonly number[], outputs: readonly number[]): void;
  removeFunction(name: string): void;
  graphDelete(graph: number): void;
}

/** What the backend knows of one tensor: the library's tensor, or values that it was not given yet. */
export interface TensorEntry {
  id: number;
  values: TensorValues | null;
  readonly shape: readonly number[];
  readonly dtype: number;
}

export interface NativeBackend {
  binding: NativeBinding;
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: { get(dataId: object): TensorEntry };
  executeSingleOutput(name: string, attributes: readonly OpAttribute[], inputs: readonly tf.Tensor[]): tf.Tensor;
  executeMultipleOutputs(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly tf.Tensor[],
    outputs: number,
  ): tf.Tensor[];
  /** Uploads values where that did not happen yet. */
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[];
  createOutputTensor(info: OutputInfo): tf.Tensor;
}

/** The tfjs-node backend, or null when another one runs. */
export function nativeBackend(): NativeBackend | null {
  return tf.getBackend() === 'tensorflow' ? (tf.backend() as unknown as NativeBackend) : null; // known by its name
}

/** The binding where it can record steps, or null: the stock addon and other backends cannot. */
export function graphBinding(): GraphBinding | null {
  const binding = nativeBackend()?.binding;
  return binding !== undefined && 'createFunction' in binding ? (binding as GraphBinding) : null; // checked by its name
}
