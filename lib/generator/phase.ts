import type { EngineSettings } from '../../contract/engine.ts';
import type { Adam } from '../engine/adam.ts';
import { compileStep, type CompiledStep } from '../engine/compile.ts';
import { nativeBackend } from '../engine/native-backend.ts';
import { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import type { SeedPair } from '../random.ts';

/**
 * One phase of an iteration: a loss, its gradient and an Adam step, traced once. A minibatch larger than the micro-batch
 * runs in rounds whose gradients are summed in variables before the Adam step.
 */

/** What one round of a phase is given; a phase uploads only what it declares. */
export interface Round {
  readonly seed: SeedPair;
  /** [images, styleCount], see `mixingMask`. */
  readonly mix: Float32Array;
  /** [images, R, R, C] in [-1, 1]. */
  readonly reals: Float32Array;
  /** Classes of the fakes, one-hot [images, classes]; of conditional networks. */
  readonly labels?: Float32Array;
  /** Those of the reals. */
  readonly realLabels?: Float32Array;
  /** Probability of each change of adaptive augmentation. Default: 0 */
  readonly augmentP?: number;
}

export interface PhaseInputs {
  /** int32 [2] */
  readonly seed: tf.Tensor1D;
  readonly mix: tf.Tensor2D;
  readonly reals: tf.Tensor4D;
  readonly labels?: tf.Tensor2D;
  readonly realLabels?: tf.Tensor2D;
  /** Scalar. */
  readonly augmentP: tf.Scalar;
}

/** What a phase computes inside the gradient. */
export interface PhaseResult {
  readonly loss: tf.Scalar;
  /** Scalars to report, mean over rounds. */
  readonly metrics: Readonly<Record<string, tf.Tensor>>;
  /** State that moves with the pass: wAvg, plMean. */
  readonly assign: readonly (readonly [tf.Variable, tf.Tensor])[];
}

/** One network with its optimiser, shared by its loss and its regulariser. */
export interface TrainedNetwork {
  readonly variables: readonly tf.Variable[];
  readonly adam: Adam;
  readonly learningRate: number;
  /** Gradient sums over rounds, by variable name; empty when one round is the whole minibatch. */
  readonly sums: ReadonlyMap<string, tf.Variable>;
  /** Adam step on the sums; null when there are none. */
  readonly apply: CompiledStep | null;
}

export interface Phase {
  /**
   * One round or, when gradients are summed, as many as the minibatch has. Returns the metrics, NaN where a loss or gradient
   * was not finite: then the whole update was skipped and moved no weight (stylegan2.md 3.3).
   */
  run(rounds: readonly Round[]): Record<string, number>;
  dispose(): void;
}

/** Rounds of `rounds` per step; the caller disposes `sums` and `apply`. */
export function createTrainedNetwork(options: {
  readonly name: string;
  readonly variables: readonly tf.Variable[];
  readonly adam: Adam;
  readonly learningRate: number;
  readonly rounds: number;
  readonly settings: EngineSettings;
  /** What decides the numbers of `adam`, as JSON. */
  readonly configuration: unknown;
}): TrainedNetwork {
  const { name, variables, adam, learningRate, rounds, settings, configuration } = options;
  if (rounds === 1) return { variables, adam, learningRate, sums: new Map(), apply: null };
  const sums = new Map(
    variables.map((v) => {
      const zeros = new Float32Array(v.shape.reduce((product, side) => product * side, 1));
      return [v.name, createVariable(`sum/${v.name}`, v.shape, zeros, false)] as const;
    }),
  );
  const apply = compileStep({
    name: `apply${name}`,
    settings,
    configuration: [configuration, variables.map((variable) => variable.name)],
    variables: [...variables, ...adam.state, ...sums.values()],
    inputs: { learningRate: { shape: [], dtype: 'float32' } },
    step: (inputs) => {
      adam.apply(Object.fromEntries(sums), { learningRate: inputs['learningRate'] as tf.Scalar }); // declared above
      return {};
    },
  });
  return { variables, adam, learningRate, sums, apply };
}

/** Sum of squares / 2 in one pass over memory. */
function halfSquaredNorm(x: tf.Tensor): tf.Tensor {
  const backend = nativeBackend();
  if (backend === null) return tf.div(tf.sum(tf.square(x)), 2);
  const { TF_ATTR_TYPE, TF_FLOAT } = backend.binding;
  return backend.executeSingleOutput('L2Loss', [{ name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT }], [x]);
}

/** Output that is finite as long as loss and gradients are: gradients whose squares overflow would end Adam's averages. */
const guard = 'guard';

/** Gradients of a phase; metrics outlive the inner scope, state is assigned. */
function differentiate(
  variables: readonly tf.Variable[],
  compute: () => PhaseResult,
): { gradients: Record<string, tf.Tensor>; metrics: Record<string, tf.Tensor> } {
  const metrics: Record<string, tf.Tensor> = {};
  const { value, grads } = tf.variableGrads(() => {
    const result = compute();
    for (const [name, metric] of Object.entries(result.metrics)) metrics[name] = tf.keep(tf.clone(metric));
    for (const [variable, next] of result.assign) variable.assign(next);
    return result.loss;
  }, [...variables]);
  const reached = grads as Record<string, tf.Tensor | undefined>; // tfjs leaves out, or nulls, what the loss misses
  // A variable that the loss does not reach gets zeros: its second moment decays, as in the reference.
  const gradients = Object.fromEntries(variables.map((v) => [v.name, reached[v.name] ?? tf.zerosLike(v)]));
  metrics[guard] = tf.addN([value, ...Object.values(gradients).map(halfSquaredNorm)]);
  return { gradients, metrics };
}

type InputName = keyof PhaseInputs;
type InputShapes = Readonly<Partial<Record<InputName, readonly number[]>>>;

/** Uploads the declared inputs of one round; the caller disposes. */
function upload(round: Round, inputs: InputShapes): Record<string, tf.Tensor> {
  const tensors: Record<string, tf.Tensor> = {};
  if (inputs.seed !== undefined) tensors['seed'] = tf.tensor1d([...round.seed], 'int32');
  if (inputs.mix !== undefined) tensors['mix'] = tf.tensor(round.mix, [...inputs.mix], 'float32');
  if (inputs.reals !== undefined) tensors['reals'] = tf.tensor(round.reals, [...inputs.reals], 'float32');
  for (const name of ['labels', 'realLabels'] as const) {
    const dims = inputs[name];
    if (dims !== undefined) tensors[name] = tf.tensor(round[name] ?? [], [...dims], 'float32');
  }
  if (inputs.augmentP !== undefined) tensors['augmentP'] = tf.scalar(round.augmentP ?? 0);
  return tensors;
}

/**
 * Traces a phase. `compute` is called with the inputs outside the gradient (so that fakes for D leave nothing to
 * differentiate) and returns what to differentiate.
 */
export function createPhase(options: {
  readonly name: string;
  readonly network: TrainedNetwork;
  /** Every variable that the phase reads or assigns. */
  readonly variables: readonly tf.Variable[];
  readonly inputs: InputShapes;
  readonly rounds: number;
  readonly settings: EngineSettings;
  /** What decides what the phase computes, as JSON. */
  readonly configuration: unknown;
  readonly compute: (inputs: PhaseInputs) => () => PhaseResult;
}): Phase {
  const { name, network, rounds, settings } = options;
  const { sums, adam } = network;
  const float = (shape: readonly number[]): { shape: readonly number[]; dtype: 'float32' } => ({
    shape,
    dtype: 'float32',
  });
  // Without sums: the Adam step's rate. With sums: 0 in the first round, so that they start anew, then 1.
  const control = sums.size === 0 ? 'learningRate' : 'keep';
  const { seed, mix, reals, labels, realLabels, augmentP } = options.inputs;
  const step = compileStep({
    ...{ name, settings, guard },
    configuration: [options.configuration, network.variables.map((variable) => variable.name)],
    variables: [...options.variables, ...sums.values()],
    inputs: {
      ...(seed && { seed: { shape: seed, dtype: 'int32' as const } }),
      ...(mix && { mix: float(mix) }),
      ...(reals && { reals: float(reals) }),
      ...(labels && { labels: float(labels) }),
      ...(realLabels && { realLabels: float(realLabels) }),
      ...(augmentP && { augmentP: float(augmentP) }),
      [control]: float([]),
    },
    step: (inputs) => {
      const given = inputs as unknown as PhaseInputs & Record<typeof control, tf.Scalar>; // as declared above
      const { gradients, metrics } = differentiate(network.variables, options.compute(given));
      if (control === 'learningRate') adam.apply(gradients, { learningRate: given[control] });
      for (const [variable, sum] of sums) {
        const gradient = gradients[variable];
        if (gradient !== undefined) sum.assign(tf.add(tf.mul(sum, given[control]), tf.div(gradient, rounds)));
      }
      return metrics;
    },
  });
  return {
    run: (passes) => {
      if (passes.length !== rounds) throw new RangeError(`${name} expects ${rounds} rounds, got ${passes.length}`);
      const totals: Record<string, number> = {};
      const learningRate = tf.scalar(network.learningRate);
      passes.forEach((pass, i) => {
        const inputs = upload(pass, options.inputs);
        const keep = tf.scalar(i === 0 ? 0 : 1);
        const metrics = step.run({ ...inputs, [control]: control === 'keep' ? keep : learningRate });
        for (const [metric, tensor] of Object.entries(metrics))
          totals[metric] = (totals[metric] ?? 0) + (tensor.dataSync()[0] ?? Number.NaN) / rounds;
        tf.dispose([inputs, metrics, keep]);
      });
      const { [guard]: finite, ...reported } = totals;
      const skipped = !Number.isFinite(finite);
      if (network.apply !== null && !skipped) tf.dispose(network.apply.run({ learningRate }));
      learningRate.dispose();
      return skipped ? Object.fromEntries(Object.keys(reported).map((metric) => [metric, Number.NaN])) : reported;
    },
    dispose: () => step.dispose(),
  };
}
