import { createAdam, type Adam } from '../engine/adam.ts';
import type { tf } from '../engine/tf.ts';
import { createVariable } from '../engine/variables.ts';
import { createRng, type Rng } from '../random.ts';
import type { GeneratorConfig } from '../../contract/study.ts';
import {
  discriminatorVariables,
  frozenVariables,
  generatorVariables,
  type NetworkShape,
  type VariableSpec,
} from './architecture.ts';

/** Everything that training changes, as variables: what a checkpoint holds besides `nimg` and tick sums (checkpoint.ts). */
export interface TrainingState {
  readonly shape: NetworkShape;
  /** By name without prefix; the variables themselves are named G/..., D/..., Gs/.... */
  readonly g: ReadonlyMap<string, tf.Variable>;
  readonly d: ReadonlyMap<string, tf.Variable>;
  /** Those of `d` that training moves: all but the frozen ones. */
  readonly trainedD: ReadonlyMap<string, tf.Variable>;
  /** Moving average of G, the network that makes images. */
  readonly gs: ReadonlyMap<string, tf.Variable>;
  /** Moving average of w, [L]. */
  readonly wAvg: tf.Variable;
  /** Moving average of path lengths, scalar. */
  readonly plMean: tf.Variable;
  readonly adamG: Adam;
  readonly adamD: Adam;
  /** All of the above. */
  readonly variables: readonly tf.Variable[];
}

/** Normal deviates of a stream (Box and Muller 1958). */
export function normals(count: number, rng: Rng): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(1 - rng()));
    const angle = 2 * Math.PI * rng();
    values[i] = radius * Math.cos(angle);
    if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
  }
  return values;
}

/** Initial values of one variable: N(0, std^2) of the stream `${stream}/${name}`. */
export function initialValues(
  spec: VariableSpec,
  options: { readonly seed: number; readonly stream: string },
): Float32Array {
  const size = spec.shape.reduce((product, side) => product * side, 1);
  if (spec.std === 0) return new Float32Array(size);
  const values = normals(size, createRng(options.seed, `${options.stream}/${spec.name}`));
  for (let i = 0; i < size; i++) values[i] = (values[i] ?? 0) * spec.std;
  return values;
}

/** Share of the optimiser's settings that lazy regularisation every k minibatches leaves: c = k / (k + 1). */
export function lazyCorrection(interval: number): number {
  return interval / (interval + 1);
}

/** Adam with beta1 0, beta2 0.99, epsilon 1e-8, corrected for lazy regularisation (beta2^c). */
function lazyAdam(name: string, variables: readonly tf.Variable[], interval: number): Adam {
  return createAdam({ name, variables, beta1: 0, beta2: 0.99 ** lazyCorrection(interval), epsilon: 1e-8 });
}

/** Fresh networks of a training; weights depend on seed and stream alone. Dispose with `disposeTrainingState`. */
export function createTrainingState(options: {
  readonly shape: NetworkShape;
  readonly config: GeneratorConfig;
  readonly seed: number;
  /** Stream prefix of the training. */
  readonly stream: string;
}): TrainingState {
  const { shape, config, seed } = options;
  const create = (prefix: string, specs: readonly VariableSpec[], stream: string): Map<string, tf.Variable> =>
    new Map(
      specs.map((spec) => {
        const values = initialValues(spec, { seed, stream: `${options.stream}/init/${stream}` });
        return [spec.name, createVariable(`${prefix}/${spec.name}`, spec.shape, values)] as const;
      }),
    );
  const g = create('G', generatorVariables(shape), 'G');
  const d = create('D', discriminatorVariables(shape), 'D');
  const gs = create('Gs', generatorVariables(shape), 'G'); // the same stream: starts as a copy of G
  const wAvg = createVariable('wAvg', [shape.latentSize], new Float32Array(shape.latentSize), false);
  const plMean = createVariable('plMean', [], new Float32Array(1), false);
  const adamG = lazyAdam('adamG', [...g.values()], config.gRegInterval);
  const frozen = frozenVariables(shape, config.freezeD ?? 0);
  const trainedD = new Map([...d].filter(([name]) => !frozen.has(name)));
  const adamD = lazyAdam('adamD', [...trainedD.values()], config.dRegInterval);
  const networks = [...g.values(), ...d.values(), ...gs.values()];
  const variables = [...networks, wAvg, plMean, ...adamG.state, ...adamD.state];
  return { shape, g, d, trainedD, gs, wAvg, plMean, adamG, adamD, variables };
}

export function disposeTrainingState(state: TrainingState): void {
  for (const variable of state.variables) variable.dispose();
}
