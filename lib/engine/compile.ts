import type { EngineSettings } from '../../contract/engine.ts';
import { ConfigurationError } from '../errors.ts';
import { sumsBfloat16Exactly } from './bfloat16.ts';
import { createFunctionGraph } from './function-graph.ts';
import type { GraphBuilder, GraphFunction, GraphModel } from './graph-builder.ts';
import { graphKey, readGraph, writeGraph, type StoredStep } from './graph-cache.ts';
import { graphBinding, nativeBackend, type NativeBackend } from './native-backend.ts';
import { createSessionGraph, openSession } from './session-graph.ts';
import { installRecorder, type Substitute } from './step-recorder.ts';
import { tf } from './tf.ts';

/** One training or inference step: run op by op, or recorded once and executed as one TensorFlow function. */
export interface CompiledStep {
  /** The caller owns the returned tensors; everything else is disposed. */
  run(inputs: Readonly<Record<string, tf.Tensor>>): Record<string, tf.Tensor>;
  dispose(): void;
}

export interface StepOptions {
  readonly name: string;
  /** All variables that the step reads or assigns. */
  readonly variables: readonly tf.Variable[];
  readonly inputs: Readonly<Record<string, { readonly shape: readonly number[]; readonly dtype: 'float32' | 'int32' }>>;
  /**
   * May assign listed variables and is otherwise pure: no reading of values, no control flow on them, no randomness but
   * random-ops, fixed shapes. What changes from step to step is an input or a variable, never a JavaScript number.
   */
  readonly step: (inputs: Record<string, tf.Tensor>) => Record<string, tf.Tensor>;
  /** Name of a scalar output: a run in which it is not finite changes no variable. Default: none */
  readonly guard?: string;
  /**
   * Everything, as JSON, that `step` depends on beside its code, variables and inputs. A step that gives it may come from the
   * cache of graphs instead of being recorded (graph-cache.ts).
   */
  readonly configuration?: unknown;
}

type RecordOptions = StepOptions & { readonly settings: EngineSettings };

/**
 * Recorded on the first run where `settings` and the engine allow it, otherwise run op by op. Recording computes nothing that a
 * run could see: the first run gives the bits of every later one.
 * @throws ConfigurationError when bf16 is asked of a step that runs op by op, or where it would not be summed in fp32, or a graph
 * of an engine without sessions
 */
export function compileStep(options: RecordOptions): CompiledStep {
  const { settings } = options;
  const precision = precisionOf(settings);
  if (executionOf(settings) !== 'eager') {
    if (precision === 'bf16') requireExactSums();
    return checked(options, recordedStep(options));
  }
  if (precision !== 'fp32')
    throw new ConfigurationError(`expected precision fp32 with op-by-op execution, found ${precision}`);
  return checked(options, eagerStep(options));
}

/**
 * What `execution` asks for where the engine can do it. Functions need our build of the addon: the stock one has sessions only,
 * the wasm engine nothing but op by op.
 * @throws ConfigurationError when a graph is asked of the wasm engine
 */
export function executionOf({ execution }: EngineSettings): EngineSettings['execution'] {
  const native = nativeBackend() !== null;
  if (execution === 'graph' && !native)
    throw new ConfigurationError(
      'execution "graph" expected the TensorFlow library, found the wasm engine; run npm run setup, or set execution to "eager"',
    );
  if (execution !== 'function' || graphBinding() !== null) return execution;
  return native ? 'graph' : 'eager';
}

/** What `precision` asks for: `auto` takes bfloat16 where compiled steps multiply it in kernels of ours. */
export function precisionOf(settings: EngineSettings): 'fp32' | 'bf16' {
  if (settings.precision !== 'auto') return settings.precision;
  const backend = nativeBackend();
  const onCpu = backend?.isUsingGpuDevice === false;
  const halves = onCpu && graphBinding()?.hasBfloat16Kernels === true && executionOf(settings) === 'function';
  return halves && sumsBfloat16Exactly(backend) ? 'bf16' : 'fp32';
}

function requireExactSums(): void {
  const backend = nativeBackend();
  if (backend !== null && !sumsBfloat16Exactly(backend))
    throw new ConfigurationError(
      'precision "bf16" expected a library that sums it in fp32, found one that sums it in bf16: the processor has no AVX-512, or settings of oneDNN forbid it; set precision to "fp32" or "auto"',
    );
}

function eagerStep({ step, variables, guard }: StepOptions): CompiledStep {
  const run = (inputs: Readonly<Record<string, tf.Tensor>>): Record<string, tf.Tensor> => {
    const before = guard === undefined ? [] : variables.map((variable) => tf.clone(variable as tf.Tensor));
    const outputs = step({ ...inputs });
    if (guard !== undefined && !isFiniteScalar(outputs[guard]))
      variables.forEach((variable, i) => variable.assign(before[i] as tf.Tensor)); // one per variable
    return outputs;
  };
  return { run: (inputs) => tf.tidy(() => run(inputs)), dispose: () => undefined };
}

const isFiniteScalar = (scalar: tf.Tensor | undefined): boolean => Number.isFinite(scalar?.dataSync()[0]);

/** A step as a graph: from inputs and the variables it reads to outputs and the variables it assigns. */
interface RecordedStep {
  readonly graph: GraphFunction;
  readonly inputs: readonly string[];
  readonly reads: readonly tf.Variable[];
  readonly outputs: readonly string[];
  readonly assigns: readonly tf.Variable[];
}

let recorded = 0;

function recordedStep(options: RecordOptions): CompiledStep {
  const backend = nativeBackend();
  if (backend === null) throw new ConfigurationError('the loaded engine cannot record steps');
  let step: RecordedStep | null = null;
  return {
    run(inputs) {
      step ??= readyStep(options, backend);
      return runRecorded(step, backend, { inputs, guard: options.guard });
    },
    dispose() {
      step?.graph.dispose();
      step = null;
    },
  };
}

/** From the cache where it was recorded before, otherwise recorded and kept there. */
function readyStep(options: RecordOptions, backend: NativeBackend): RecordedStep {
  const { variables } = options;
  const key = cacheKey(options, backend);
  const known = (places: readonly number[]): tf.Variable[] => places.flatMap((place) => variables[place] ?? []);
  const fromCache = (dir: string, { feeds, fetches, reads, outputs, assigns }: StoredStep): RecordedStep => ({
    graph: openSession(backend.binding, dir, { feeds, fetches }),
    inputs: Object.keys(options.inputs),
    reads: known(reads),
    outputs,
    assigns: known(assigns),
  });
  const stored = key === null ? null : readGraph(key, fromCache);
  if (stored !== null) return stored;
  const { model, ...step } = record(options, backend);
  const places = (of: readonly tf.Variable[]): number[] => of.map((variable) => variables.indexOf(variable));
  if (key !== null && model !== null) {
    const { bytes, feeds, fetches } = model;
    const { reads, outputs, assigns } = step;
    writeGraph(key, bytes, { feeds, fetches, reads: places(reads), outputs, assigns: places(assigns) });
  }
  return step;
}

/** Null for steps that are always recorded. */
function cacheKey(options: RecordOptions, { binding, isUsingGpuDevice }: NativeBackend): string | null {
  const { name, configuration, inputs, settings, variables } = options;
  if (configuration === undefined || executionOf(settings) !== 'graph') return null;
  return graphKey({
    ...{ name, configuration, inputs, isUsingGpuDevice },
    precision: precisionOf(settings),
    tensorflow: binding.TF_Version,
    variables: variables.map((variable) => [variable.name, variable.shape]),
  });
}

function graphFor(settings: EngineSettings, backend: NativeBackend): GraphBuilder {
  const binding = executionOf(settings) === 'function' ? graphBinding() : null;
  return binding === null ? createSessionGraph(backend.binding) : createFunctionGraph(binding);
}

function record(options: RecordOptions, backend: NativeBackend): RecordedStep & { readonly model: GraphModel | null } {
  const { variables, settings } = options;
  const precision = precisionOf(settings);
  const graph = graphFor(settings, backend);
  const recorder = installRecorder({ step: options.name, graph, backend, precision });
  const substitutes: Substitute[] = [];
  try {
    for (const variable of variables) substitutes.push(recorder.substitute(variable));
    const before = variables.map(({ dataId }) => dataId);
    const scope = (): ReturnType<typeof record> => {
      const declared = Object.entries(options.inputs);
      const inputs = declared.map(([name, { shape, dtype }]) => [name, recorder.placeholder(shape, dtype)] as const);
      const outputs = options.step(Object.fromEntries(inputs));
      const assigns = variables.filter(({ dataId }, i) => dataId !== before[i]);
      const results = [...Object.values(outputs), ...assigns].map((tensor) => recorder.outputOf(tensor));
      tf.dispose(outputs); // some are kept beyond this scope
      const reads = variables.flatMap((variable, i) => {
        const placeholder = substitutes[i]?.placeholder() ?? null;
        return placeholder === null ? [] : [{ variable, placeholder }];
      });
      const given = [...inputs.map(([, tensor]) => recorder.inputOf(tensor)), ...reads.map((read) => read.placeholder)];
      return {
        ...graph.finish(`${options.name}_${recorded++}`, given, results),
        inputs: inputs.map(([input]) => input),
        reads: reads.map((read) => read.variable),
        outputs: Object.keys(outputs),
        assigns,
      };
    };
    tf.engine().startScope(options.name);
    try {
      return scope();
    } finally {
      tf.engine().endScope();
    }
  } finally {
    for (const substitute of substitutes) substitute.restore();
    recorder.uninstall();
    graph.discard();
  }
}

function runRecorded(
  step: RecordedStep,
  backend: NativeBackend,
  { inputs, guard }: { readonly inputs: Readonly<Record<string, tf.Tensor>>; readonly guard: string | undefined },
): Record<string, tf.Tensor> {
  const given = step.inputs.flatMap((name) => inputs[name] ?? []); // all there: `checked` looked
  const ids = backend.getInputTensorIds([...given, ...step.reads]);
  const results = step.graph.call(ids).map((info) => backend.createOutputTensor(info));
  const accepted = guard === undefined || isFiniteScalar(results[step.outputs.indexOf(guard)]);
  step.assigns.forEach((variable, i) => {
    const value = results[step.outputs.length + i];
    if (value === undefined) return;
    if (accepted) variable.assign(value);
    value.dispose();
  });
  return Object.fromEntries(step.outputs.flatMap((name, i) => (results[i] ? [[name, results[i]] as const] : [])));
}

/** Refuses inputs other than the declared ones: a compiled step could not, and would compute something else. */
function checked({ name, inputs: declared }: StepOptions, step: CompiledStep): CompiledStep {
  return {
    run(inputs) {
      for (const [input, { shape, dtype }] of Object.entries(declared)) {
        const given = inputs[input];
        if (given === undefined) throw new RangeError(`${name} expects the input ${input}, got none`);
        if (given.dtype !== dtype || given.shape.join() !== shape.join())
          throw new RangeError(
            `${name} expects ${input} as ${dtype} [${shape.join(', ')}], got ${given.dtype} [${given.shape.join(', ')}]`,
          );
      }
      for (const input of Object.keys(inputs))
        if (!(input in declared)) throw new RangeError(`${name} has no input ${input}`);
      return step.run(inputs);
    },
    dispose: () => step.dispose(),
  };
}
