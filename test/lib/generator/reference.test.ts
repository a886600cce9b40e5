import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { tf } from '../../../lib/engine/tf.ts';
import {
  discriminatorVariables,
  generatorVariables,
  noiseSizes,
  styleCount,
  type NetworkShape,
  type VariableSpec,
} from '../../../lib/generator/architecture.ts';
import {
  dLogistic,
  dR1,
  gLogisticNonSaturating,
  gPathLength,
  trainingStyles,
  type LatentDraws,
} from '../../../lib/generator/loss.ts';
import { synthesis, type Weights } from '../../../lib/generator/network.ts';
import { project, projectionCount, recipeValues } from './recipe.ts';

/**
 * Losses and the gradient of every variable equal those of an independent implementation in PyTorch, differentiated by its
 * autograd in float64 on the same weights and inputs (bench/reference/make_generator_fixtures.py made the fixtures).
 *
 * Wanted: the difference e of two gradients of one variable has |e| <= 1e-4 |gradient|. The fixture holds 16 products of the
 * gradient with vectors of random signs instead of the gradient itself. The mean square m of the 16 products of e has mean
 * |e|^2 and, as a chi-square with 16 degrees of freedom, is below a tenth of it with probability 2e-6. So
 * sqrt(m) <= 1e-4 / sqrt(10) |gradient| proves the claim for all gradients here up to a chance of one in a thousand.
 * A gradient of at most 64 elements is compared whole. One below 1e-6 of the phase's whole gradient counts as zero.
 */

const relative = 1e-4;
const negligible = 1e-6;

type Stored = { readonly values: number[] } | { readonly norm: number; readonly projections: number[] };
interface StoredPhase {
  readonly scalars: Record<string, number>;
  readonly gradients: Record<string, Stored>;
}
interface Fixture {
  readonly shape: NetworkShape;
  readonly settings: Record<'salt' | 'batch' | 'pathBatch' | 'gamma' | 'decay' | 'plWeight' | 'plMean', number>;
  readonly phases: Record<'gMain' | 'gPathLength' | 'dMain' | 'dR1', StoredPhase>;
}

let salt = 0; // of the inputs, set by each fixture

beforeAll(loadEngine);

function recipeTensor<R extends tf.Rank>(name: string, shape: readonly number[], scale = 1): tf.Tensor<R> {
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor<R>(recipeValues(`${salt}/${name}`, size, scale), [...shape] as tf.ShapeMap[R], 'float32');
}

/** As the script makes them: what starts at zero gets 0.1, or 10 in the mapping. */
function recipeWeights(prefix: 'G' | 'D', specs: readonly VariableSpec[]): Map<string, tf.Tensor> {
  return new Map(
    specs.map(({ name, shape, std }) => {
      const scale = std || (name.startsWith('mapping/') ? 10 : 0.1);
      return [name, recipeTensor(`${prefix}/${name}`, shape, scale)];
    }),
  );
}

function oneHot(shape: NetworkShape, count: number, first: number): tf.Tensor2D {
  const classes = Array.from({ length: count }, (_, i) => (first + i) % shape.labels);
  return tf.oneHot(tf.tensor1d(classes, 'int32'), shape.labels).toFloat() as tf.Tensor2D;
}

function recipeDraws(shape: NetworkShape, count: number): LatentDraws {
  const styles = styleCount(shape);
  const mask = Array.from({ length: count * styles }, (_, k) =>
    k % styles >= 1 + ((3 * Math.floor(k / styles)) % (styles + 1)) ? 1 : 0,
  );
  return {
    z: recipeTensor<tf.Rank.R2>('z', [count, shape.latentSize]),
    zMix: recipeTensor<tf.Rank.R2>('zMix', [count, shape.latentSize]),
    mix: tf.tensor2d(mask, [count, styles]),
    noise: noiseSizes(shape).map((side, j) => recipeTensor<tf.Rank.R4>(`noise${j}`, [count, side, side, 1])),
    ...(shape.labels > 0 && { labels: oneHot(shape, count, 0) }),
  };
}

function recipeImages(shape: NetworkShape, name: string, count: number, scale: number): tf.Tensor4D {
  return recipeTensor<tf.Rank.R4>(name, [count, shape.resolution, shape.resolution, shape.channels], scale);
}

type Losses = { readonly loss: tf.Scalar } & Record<string, tf.Tensor>;

/** Values of the scalars of a loss, and its gradient per variable: zeros where it does not reach. */
function differentiate(weights: Weights, compute: (weights: Weights) => Losses) {
  const variables = new Map([...weights].map(([name, value]) => [name, tf.variable(value)]));
  const scalars = Object.entries(compute(variables)).map(([name, value]) => [name, value.dataSync()[0]!] as const);
  const { grads } = tf.variableGrads(() => compute(variables).loss, [...variables.values()]);
  const gradients = [...variables].map(([name, v]) => {
    const gradient = grads[v.name] as tf.Tensor | null | undefined; // tfjs leaves out, or nulls, what the loss misses
    return [name, gradient?.dataSync() ?? new Float32Array(v.size)] as const;
  });
  tf.dispose([...variables.values()]);
  return { scalars: new Map(scalars), gradients };
}

/** Every difference beyond the tolerance, as text. */
function differences(weights: Weights, compute: (weights: Weights) => Losses, wanted: StoredPhase): string[] {
  const { scalars, gradients } = differentiate(weights, compute);
  expect(Object.keys(wanted.gradients)).toEqual([...weights.keys()]);
  const found: string[] = [];
  for (const [name, value] of Object.entries(wanted.scalars))
    if (!(Math.abs(scalars.get(name)! / value - 1) < 1e-5))
      found.push(`${name} is ${scalars.get(name)}, expected ${value}`);
  const normOf = (stored: Stored): number => ('norm' in stored ? stored.norm : Math.hypot(...stored.values));
  const whole = Math.hypot(...Object.values(wanted.gradients).map(normOf));
  for (const [name, gradient] of gradients) {
    const stored = wanted.gradients[name]!;
    const norm = normOf(stored);
    const [error, allowed] =
      'values' in stored
        ? [Math.hypot(...stored.values.map((value, k) => value - gradient[k]!)), relative]
        : [
            Math.hypot(...project(name, gradient).map((p, j) => p - stored.projections[j]!)) / projectionCount ** 0.5,
            relative / Math.sqrt(10),
          ];
    const limit = norm < negligible * whole ? negligible * whole : allowed * norm;
    if (!(error <= limit)) found.push(`${name} is off by ${error / norm} of its norm ${norm} (all: ${whole})`);
  }
  return found;
}

describe.each(['32px-narrow', '32px-wide', '64px', '32px-orig-orig', '32px-resnet-skip', '32px-conditional'])(
  'equals PyTorch: %s',
  (name) => {
    const file = new URL(`fixtures/${name}.json`, import.meta.url);
    const { shape, settings, phases } = JSON.parse(readFileSync(file, 'utf8')) as Fixture; // as the script writes it
    const network = (of: 'G' | 'D'): Map<string, tf.Tensor> =>
      recipeWeights(of, of === 'G' ? generatorVariables(shape) : discriminatorVariables(shape));
    const reals = (): tf.Tensor4D => recipeImages(shape, 'reals', settings.batch, 0.5);
    const realLabels = (): { labels?: tf.Tensor2D } =>
      shape.labels > 0 ? { labels: oneHot(shape, settings.batch, 1) } : {};

    beforeAll(() => void (salt = settings.salt));

    it('G: non-saturating logistic loss', () => {
      const d = network('D');
      const draws = recipeDraws(shape, settings.batch);
      const loss = (g: Weights): Losses => ({ loss: gLogisticNonSaturating({ g, d, shape }, draws).loss });
      expect(differences(network('G'), loss, phases.gMain)).toEqual([]);
    });
    it('G: path length', () => {
      const { decay, plWeight, pathBatch } = settings;
      const pathNoise = recipeImages(shape, 'pathNoise', pathBatch, 1 / shape.resolution);
      const options = { draws: recipeDraws(shape, pathBatch), pathNoise, decay, plWeight };
      const loss = (g: Weights): Losses => {
        const { penalty, plMean, length } = gPathLength(
          { g, shape },
          { ...options, plMean: tf.scalar(settings.plMean) },
        );
        return { loss: penalty, penalty, plMean, length };
      };
      expect(differences(network('G'), loss, phases.gPathLength)).toEqual([]);
    });
    it('D: logistic loss', () => {
      const g = network('G');
      const draws = recipeDraws(shape, settings.batch);
      const fakes = synthesis(g, shape, { ws: trainingStyles(g, shape, draws).ws, noise: draws.noise });
      const labels = { realLabels: realLabels().labels!, fakeLabels: draws.labels! }; // undefined in plain networks
      const loss = (d: Weights): Losses =>
        dLogistic({ d, shape }, { reals: reals(), fakes, ...(shape.labels > 0 && labels) });
      expect(differences(network('D'), loss, phases.dMain)).toEqual([]);
    });
    it('D: R1', () => {
      const loss = (d: Weights): Losses => {
        const penalty = dR1({ d, shape }, { reals: reals(), ...realLabels(), gamma: settings.gamma });
        return { loss: penalty, penalty };
      };
      expect(differences(network('D'), loss, phases.dR1)).toEqual([]);
    });
  },
);
