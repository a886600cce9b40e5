import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GraphBuilder, GraphFunction, GraphModel } from './graph-builder.ts';
import type { NativeBinding, OpAttribute, OutputInfo } from './native-backend.ts';
import {
  encodeSavedModel,
  modelFile,
  savedModelTag,
  type AttrValue,
  type NodeDef,
  type TensorShapeProto,
} from './saved-model.ts';
import { createShapeProbe, type Operand } from './shape-probe.ts';

/** Constants of more values say nothing about shapes. */
const longestShape = 16;

/** A graph that the stock addon can run: written as a SavedModel and executed by a session. Our own kernels stay out. */
export function createSessionGraph(binding: NativeBinding): GraphBuilder {
  const nodes: NodeDef[] = [];
  const values: (Operand & { readonly output: string })[] = [];
  const probe = createShapeProbe(binding);

  const add = (node: Omit<NodeDef, 'name'>, outputs: readonly Operand[]): OutputInfo[] => {
    const name = `n${nodes.length}_${node.op}`;
    nodes.push({ name, ...node });
    return outputs.map((output, i) => {
      const id = values.push({ ...output, output: `${name}:${i}` }) - 1;
      return { id, shape: output.shape && [...output.shape], dtype: output.dtype };
    });
  };
  const one = ([info]: OutputInfo[]): OutputInfo => {
    if (info === undefined) throw new RangeError('a node without output');
    return info;
  };
  const valueOf = (id: number): (typeof values)[number] => {
    const value = values[id];
    if (value === undefined) throw new RangeError(`no output ${id} in this graph`);
    return value;
  };

  return {
    kernels: null,
    placeholder(shape, dtype) {
      const attr = { dtype: { type: dtype }, shape: { shape: shapeProto(shape) } };
      return one(add({ op: 'Placeholder', input: [], attr }, [{ shape, dtype, values: null }]));
    },
    constant(shape, dtype, given) {
      const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength).slice();
      const tensor = { dtype, tensorShape: shapeProto(shape), tensorContent: bytes };
      const output = { shape, dtype, values: given.length <= longestShape ? given.slice() : null };
      return one(add({ op: 'Const', input: [], attr: { dtype: { type: dtype }, value: { tensor } } }, [output]));
    },
    op(op, attributes, inputs, lengths) {
      const operands = inputs.map(valueOf);
      const outputs = probe(op, attributes, operands, lengths.outputs);
      const attr = Object.fromEntries(attributes.map((attribute) => [attribute.name, attrValue(binding, attribute)]));
      return add(
        { op, input: operands.map(({ output }) => output), attr },
        outputs.map((output) => ({ ...output, values: null })),
      );
    },
    finish(name, inputs, outputs) {
      const named = (ids: readonly number[]): string[] => ids.map((id) => valueOf(id).output);
      const model = { bytes: encodeSavedModel(nodes), feeds: named(inputs), fetches: named(outputs) };
      const dir = mkdtempSync(join(tmpdir(), `echoforge-${name}-`));
      try {
        writeFileSync(join(dir, modelFile), model.bytes);
        return { graph: openSession(binding, dir, model), model };
      } finally {
        rmSync(dir, { recursive: true, force: true }); // the session read it whole
      }
    },
    discard: () => undefined,
  };
}

/** The SavedModel in `dir` as something to call. @throws Error when the library refuses it */
export function openSession(
  binding: NativeBinding,
  dir: string,
  { feeds, fetches }: Pick<GraphModel, 'feeds' | 'fetches'>,
): GraphFunction {
  const session = binding.loadSavedModel(dir, savedModelTag);
  return {
    call: (ids) =>
      fetches.length === 0 ? [] : binding.runSavedModel(session, ids, feeds.join(','), fetches.join(',')),
    dispose: () => binding.deleteSavedModel(session),
  };
}

const shapeProto = (shape: readonly number[]): TensorShapeProto => ({ dim: shape.map((size) => ({ size })) });

/** An attribute in the form of executeOp as the message has it. */
function attrValue(binding: NativeBinding, { name, type, value }: OpAttribute): AttrValue {
  if (type === binding.TF_ATTR_STRING) return { s: Buffer.from(String(value)) };
  if (type === binding.TF_ATTR_SHAPE) return { shape: shapeProto(value as number[]) }; // by its type
  if (type === binding.TF_ATTR_TYPE) return { type: Number(value) };
  const list = Array.isArray(value) ? value.map(Number) : null;
  if (type === binding.TF_ATTR_INT) return list === null ? { i: Number(value) } : { list: { i: list } };
  if (type === binding.TF_ATTR_FLOAT) return list === null ? { f: Number(value) } : { list: { f: list } };
  if (type === binding.TF_ATTR_BOOL) return list === null ? { b: Boolean(value) } : { list: { b: list.map(Boolean) } };
  throw new RangeError(`attribute ${name} has the unknown type ${type}`);
}
