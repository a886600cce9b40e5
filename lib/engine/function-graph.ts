import type { GraphBuilder } from './graph-builder.ts';
import type { GraphBinding, OutputInfo } from './native-backend.ts';

/** A graph that our build of the addon holds, with shapes inferred by the library; it becomes a function of the library. */
export function createFunctionGraph(binding: GraphBinding): GraphBuilder {
  const graph = binding.graphCreate();
  const one = ([info]: OutputInfo[]): OutputInfo => {
    if (info === undefined) throw new RangeError('a node without output');
    return info;
  };
  return {
    kernels: binding.hasKernels ? { bfloat16: binding.hasBfloat16Kernels } : null,
    placeholder: (shape, dtype) => one(binding.graphPlaceholder(graph, shape, dtype)),
    constant: (shape, dtype, values) => one(binding.graphConstant(graph, shape, dtype, values)),
    op: (op, attributes, inputs, { list }) => binding.graphOp(graph, op, attributes, inputs, list),
    finish(name, inputs, outputs) {
      binding.createFunction(graph, name, inputs, outputs);
      const call = (ids: readonly number[]): OutputInfo[] => binding.executeOp(name, [], ids, outputs.length);
      return { graph: { call, dispose: () => binding.removeFunction(name) }, model: null };
    },
    discard: () => binding.graphDelete(graph),
  };
}
