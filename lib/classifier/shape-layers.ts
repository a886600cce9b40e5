import { ConfigurationError } from '../errors.ts';
import type { Layers } from './layers.ts';
import { head, lastBlock, layersAbove, trunk, type Architecture, type Cut, type LastMixed } from './network.ts';
import type { Frozen } from './phases.ts';

/** Shape of one activation without N: [H, W, C], or [C] after pooling over pixels. */
export type ActivationShape = readonly number[];

export interface VariableSpec {
  /** Keras' layer and weight name, e.g. `conv2d_1/kernel`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly initial: 'glorotUniform' | 'zeros' | 'ones';
  /** Moving statistics are state but never trained. */
  readonly statistic: boolean;
}

export interface NetworkPlan {
  /** Every variable in the order of creation. */
  readonly variables: readonly VariableSpec[];
  /** Size of the feature vector. */
  readonly features: number;
  readonly parameters: number;
  /** Outputs of every layer with variables, by layer name, in order. */
  readonly outputs: ReadonlyMap<string, ActivationShape>;
}

const pixels = (shape: ActivationShape): readonly [number, number, number] => {
  const [height, width, channels] = shape;
  if (height === undefined || width === undefined || channels === undefined)
    throw new RangeError(`expected an activation [H, W, C], got [${shape.join(', ')}]`);
  return [height, width, channels];
};

const lastOf = (shape: ActivationShape): number => shape.at(-1) ?? 0;

function outputSide(side: number, kernel: number, stride: number, padding: 'same' | 'valid'): number {
  const out = padding === 'same' ? Math.ceil(side / stride) : Math.floor((side - kernel) / stride) + 1;
  if (out < 1)
    throw new ConfigurationError('the input images are too small for InceptionResNetV2: use at least 75 x 75 px');
  return out;
}

/** Layers that only follow shapes and note each variable they would need. */
function shapeLayers(variables: VariableSpec[], outputs: Map<string, ActivationShape>): Layers<ActivationShape> {
  const declare = (
    name: string,
    shape: readonly number[],
    initial: VariableSpec['initial'],
    statistic = false,
  ): void => {
    variables.push({ name, shape, initial, statistic });
  };
  const note = (layer: string, shape: ActivationShape): ActivationShape => {
    outputs.set(layer, shape);
    return shape;
  };
  return {
    channels: lastOf,
    conv2d(x, { layer, filters, kernel: [kh, kw], stride, padding, bias }) {
      const [h, w, channels] = pixels(x);
      declare(`${layer}/kernel`, [kh, kw, channels, filters], 'glorotUniform');
      if (bias) declare(`${layer}/bias`, [filters], 'zeros');
      return note(layer, [outputSide(h, kh, stride, padding), outputSide(w, kw, stride, padding), filters]);
    },
    batchNormRelu(x, layer) {
      declare(`${layer}/beta`, [lastOf(x)], 'zeros');
      declare(`${layer}/moving_mean`, [lastOf(x)], 'zeros', true);
      declare(`${layer}/moving_variance`, [lastOf(x)], 'ones', true);
      return note(layer, x);
    },
    maxPool(x, { stride }) {
      if (stride === 1) return x;
      const [h, w, channels] = pixels(x);
      return [outputSide(h, 3, 2, 'valid'), outputSide(w, 3, 2, 'valid'), channels];
    },
    avgPool: (x) => x,
    concat(xs) {
      const [first] = xs;
      if (first === undefined) throw new RangeError('concat expects at least one activation');
      const [h, w] = pixels(first);
      for (const x of xs)
        if (x[0] !== h || x[1] !== w)
          throw new RangeError(`concat expects equal sizes, got [${xs.map((s) => s.join('x')).join(', ')}]`);
      return [h, w, xs.reduce((sum, x) => sum + lastOf(x), 0)];
    },
    residual: (x) => x,
    globalAveragePool: (x) => [lastOf(x)],
    dense(x, { layer, units }) {
      declare(`${layer}/kernel`, [lastOf(x), units], 'glorotUniform');
      declare(`${layer}/bias`, [units], 'zeros');
      return note(layer, [units]);
    },
    dropout: (x) => x,
  };
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/**
 * Variables, shapes and parameter count (moving statistics included, as Keras counts) of a network; allocates nothing.
 * Throws ConfigurationError when `inputSize` (px) leaves no pixel before the last block.
 */
export function planNetwork(architecture: Architecture, inputSize: number): NetworkPlan {
  return planLayers((layers) => {
    const features = trunk(layers, architecture, [inputSize, inputSize, 3]);
    head(layers, architecture, features);
    return features;
  });
}

/** The same for any network; `build` returns the shape of its features. */
export function planLayers(build: (layers: Layers<ActivationShape>) => ActivationShape): NetworkPlan {
  const variables: VariableSpec[] = [];
  const outputs = new Map<string, ActivationShape>();
  const features = build(shapeLayers(variables, outputs));
  const parameters = variables.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return { variables, features: lastOf(features), parameters, outputs };
}

/** Inside of the last residual block, `mixed` [8, 8, 448] and `input` [8, 8, 2080] at width 1 and 299 px. */
export function lastMixedShape(
  { variables, outputs }: NetworkPlan,
  architecture: Pick<Architecture, 'blocks'>,
): LastMixed<ActivationShape> {
  const projection = `${lastBlock(architecture)}_conv`;
  const input = pixels(outputs.get(projection) ?? []); // its output, too: the block adds the two
  const [, , channels = 0] = variables.find(({ name }) => name === `${projection}/kernel`)?.shape ?? [];
  return { mixed: [input[0], input[1], channels], input };
}

/** Values that the layers below `cut` make of one image. */
export function featureSize(plan: NetworkPlan, cut: Cut, architecture: Pick<Architecture, 'blocks'>): number {
  if (cut === 'pooled') return plan.features;
  const { mixed, input } = lastMixedShape(plan, architecture);
  return sizeOf(mixed) + sizeOf(input);
}

/** Bytes that a file with weights of this network may have: with optimiser slots, another head, and a topology. */
export const maxWeightFileBytes = ({ parameters }: Pick<NetworkPlan, 'parameters'>): number =>
  4 * 4 * parameters + 64 * 2 ** 20;

/**
 * Names of the variables that the optimiser moves. `nakata` (evaluation.md 1.6) keeps every convolution before the last
 * block's projection, but trains all shifts of the normalisation, which run on batch statistics. `belowTop` trains what works
 * on the smallest maps: `mixed_7a`, the block8s and `conv_7b`, half of all parameters, and the head. Frozen normalisation
 * keeps its shifts too, as a Keras layer with `trainable = False` does.
 */
export function trainableNames(
  plan: NetworkPlan,
  options: { readonly freeze: Frozen; readonly bn: 'batch' | 'frozen'; readonly blocks: Architecture['blocks'] },
): string[] {
  const { freeze, bn, blocks } = options;
  const free = freeLayers(plan, freeze, blocks);
  const isTrained = ({ name, statistic }: VariableSpec): boolean => {
    if (statistic) return false;
    if (name.endsWith('/beta')) return bn === 'batch';
    return free === null || free.has(layerOf(name));
  };
  return plan.variables.filter(isTrained).map(({ name }) => name);
}

const layerOf = (variable: string): string => variable.slice(0, variable.indexOf('/'));

/** Layers whose kernels and biases are trained; null for all of them. */
function freeLayers(plan: NetworkPlan, freeze: Frozen, blocks: Architecture['blocks']): ReadonlySet<string> | null {
  switch (freeze) {
    case 'none':
      return null;
    case 'trunk':
      return new Set(layersAbove('pooled', { blocks }));
    case 'nakata':
      return new Set(layersAbove('lastMixed', { blocks }));
    case 'belowTop': {
      const layers = plan.variables.map(({ name }) => layerOf(name));
      return new Set(layers.slice(layers.lastIndexOf(`block17_${blocks[1]}_conv`) + 1));
    }
  }
}
