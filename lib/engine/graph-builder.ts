import type { OpAttribute, OutputInfo, TensorValues } from './native-backend.ts';

/** Where a recorder puts the nodes of a step. Ids name the outputs of nodes, from 0 in the order in which they appear. */
export interface GraphBuilder {
  /** Our own kernels that its nodes may hold, and whether they multiply in bfloat16 too; null for none. */
  readonly kernels: { readonly bfloat16: boolean } | null;
  placeholder(shape: readonly number[], dtype: number): OutputInfo;
  constant(shape: readonly number[], dtype: number, values: TensorValues): OutputInfo;
  /** The first `list` inputs are the op's list argument, if it has one. The shape of an output that data decides is null. */
  op(
    op: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    lengths: { readonly list: number; readonly outputs: number },
  ): OutputInfo[];
  /** The graph as something to call, from the values of placeholders to those of outputs; `model` where it can be stored. */
  finish(
    name: string,
    inputs: readonly number[],
    outputs: readonly number[],
  ): { readonly graph: GraphFunction; readonly model: GraphModel | null };
  /** Frees the graph; what `finish` gave stays. */
  discard(): void;
}

export interface GraphFunction {
  /** Takes and gives tensors of the library. */
  call(inputs: readonly number[]): OutputInfo[];
  dispose(): void;
}

/** A graph that could be stored: bytes of a SavedModel, and the outputs of nodes, `name:index`, to feed and to fetch. */
export interface GraphModel {
  readonly bytes: Uint8Array;
  readonly feeds: readonly string[];
  readonly fetches: readonly string[];
}
