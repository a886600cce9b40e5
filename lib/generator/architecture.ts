import { classSides } from '../../contract/manifests.ts';
import { styleCountOf } from '../../contract/plan.ts';
import type { GeneratorConfig, Study } from '../../contract/study.ts';

/**
 * Sizes of StyleGAN2 (config-e and -f; Karras et al. 2020, stylegan2.md 2.6-2.8, figure 7 of the paper for the `orig`,
 * `skip` and `resnet` variants) and the list of their variables. Pure numbers: parameter totals are known without
 * allocating a tensor.
 */
export interface NetworkShape {
  /** Side of the images, px, a power of two from 8. */
  readonly resolution: number;
  readonly channels: 1 | 3;
  readonly fmapBase: number;
  readonly fmapMax: number;
  /** Components of z and of w. */
  readonly latentSize: number;
  readonly mappingLayers: number;
  readonly gArchitecture: GeneratorConfig['gArchitecture'];
  readonly dArchitecture: GeneratorConfig['dArchitecture'];
  /** Classes that the networks are told of; 0 for networks of one class. */
  readonly labels: number;
}

export interface VariableSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Standard deviation of the initial normal values; 0 for zeros. */
  readonly std: number;
}

/** The mapping network learns 100 times slower (stylegan2.md 2.1). */
export const mappingLearningRateMultiplier = 0.01;

export function networkShapeOf(config: GeneratorConfig, image: Study['image']): NetworkShape {
  const { fmapBase, fmapMax, latentSize, mappingLayers, gArchitecture, dArchitecture } = config;
  const { resolution, channels } = image;
  const widths = { fmapBase, fmapMax, latentSize, mappingLayers };
  return {
    resolution,
    channels,
    ...widths,
    gArchitecture,
    dArchitecture,
    labels: config.conditional === true ? classSides.length : 0,
  };
}

/** Feature maps at a resolution: 4..32 -> 512, 64 -> 256, 128 -> 128, 256 -> 64 for config-e. */
export function featureMaps(shape: NetworkShape, resolution: number): number {
  const wanted = Math.floor(shape.fmapBase / 2 ** (Math.log2(resolution) - 1));
  return Math.min(Math.max(wanted, 1), shape.fmapMax);
}

/** Block resolutions of the generator, ascending: 4, 8, ... resolution. */
export function blockResolutions(shape: NetworkShape): number[] {
  const blocks: number[] = [];
  for (let resolution = 4; resolution <= shape.resolution; resolution *= 2) blocks.push(resolution);
  return blocks;
}

/** Number of w vectors that the synthesis network takes: 14 at 256 px. */
export function styleCount(shape: NetworkShape): number {
  return styleCountOf(shape.resolution);
}

/** Sides of the noise maps in layer order: 4, 8, 8, 16, 16, ... */
export function noiseSizes(shape: NetworkShape): number[] {
  return blockResolutions(shape).flatMap((resolution) => (resolution === 4 ? [4] : [resolution, resolution]));
}

const normal = (name: string, shape: readonly number[], std = 1): VariableSpec => ({ name, shape, std });
const zeros = (name: string, shape: readonly number[]): VariableSpec => ({ name, shape, std: 0 });

function modulatedLayer(
  name: string,
  options: { kernel: number; from: number; to: number; latentSize: number },
): VariableSpec[] {
  const { kernel, from, to, latentSize } = options;
  return [
    normal(`${name}/affineWeight`, [latentSize, from]),
    zeros(`${name}/affineBias`, [from]),
    normal(`${name}/weight`, [kernel, kernel, from, to]),
    zeros(`${name}/bias`, [to]),
  ];
}

/** Whether the generator makes pixels at this resolution: `skip` at each, the others at the last. */
export function makesPixels(shape: NetworkShape, resolution: number): boolean {
  return shape.gArchitecture === 'skip' || resolution === shape.resolution;
}

/** Whether the discriminator reads pixels at this resolution: `skip` at each, the others at the first. */
export function readsPixels(shape: NetworkShape, resolution: number): boolean {
  return shape.dArchitecture === 'skip' || resolution === shape.resolution;
}

/** Of the mapping network. Labels enter as an embedding beside z. */
function mappingVariables({ latentSize, labels, mappingLayers }: NetworkShape): VariableSpec[] {
  const specs = labels > 0 ? [normal('mapping/embedding', [labels, latentSize])] : [];
  for (let i = 0; i < mappingLayers; i++) {
    const from = i === 0 && labels > 0 ? 2 * latentSize : latentSize;
    specs.push(
      normal(`mapping/dense${i}/weight`, [from, latentSize], 1 / mappingLearningRateMultiplier),
      zeros(`mapping/dense${i}/bias`, [latentSize]),
    );
  }
  return specs;
}

/** Trainable variables of G: mapping and synthesis. w_avg and noise maps are state, not parameters. */
export function generatorVariables(shape: NetworkShape): VariableSpec[] {
  const { latentSize } = shape;
  const specs = mappingVariables(shape);
  specs.push(normal('synthesis/b4/const', [1, 4, 4, featureMaps(shape, 4)]));
  for (const resolution of blockResolutions(shape)) {
    const block = `synthesis/b${resolution}`;
    const to = featureMaps(shape, resolution);
    const conv = (name: string, from: number): void => {
      const layer = `${block}/${name}`;
      specs.push(...modulatedLayer(layer, { kernel: 3, from, to, latentSize }), zeros(`${layer}/noiseStrength`, []));
    };
    const from = featureMaps(shape, resolution / 2);
    if (resolution > 4) conv('conv0', from);
    conv('conv1', to);
    if (resolution > 4 && shape.gArchitecture === 'resnet')
      specs.push(normal(`${block}/skip/weight`, [1, 1, from, to]));
    if (makesPixels(shape, resolution))
      specs.push(...modulatedLayer(`${block}/toRgb`, { kernel: 1, from: to, to: shape.channels, latentSize }));
  }
  return specs;
}

/** Trainable variables of D. */
export function discriminatorVariables(shape: NetworkShape): VariableSpec[] {
  const specs: VariableSpec[] = [];
  const conv = (name: string, kernel: number, from: number, to: number): void => {
    specs.push(normal(`${name}/weight`, [kernel, kernel, from, to]), zeros(`${name}/bias`, [to]));
  };
  for (const resolution of blockResolutions(shape).reverse()) {
    const from = featureMaps(shape, resolution);
    if (readsPixels(shape, resolution)) conv(`b${resolution}/fromRgb`, 1, shape.channels, from);
    if (resolution === 4) break;
    const to = featureMaps(shape, resolution / 2);
    conv(`b${resolution}/conv0`, 3, from, from);
    conv(`b${resolution}/conv1`, 3, from, to);
    if (shape.dArchitecture === 'resnet') specs.push(normal(`b${resolution}/skip/weight`, [1, 1, from, to]));
  }
  const last = featureMaps(shape, 4);
  conv('b4/conv', 3, last + 1, last);
  specs.push(normal('b4/dense/weight', [16 * last, last]), zeros('b4/dense/bias', [last]));
  const scores = Math.max(shape.labels, 1);
  specs.push(normal('b4/output/weight', [last, scores]), zeros('b4/output/bias', [scores]));
  return specs;
}

/**
 * Names of D's variables in its `blocks` blocks nearest to the images, their `fromRgb` included: what FreezeD keeps (Mo, Cho
 * and Shin 2020). 3 blocks of a `resnet` are the first 10 layers of the reference, 4 its first 13.
 */
export function frozenVariables(shape: NetworkShape, blocks: number): ReadonlySet<string> {
  const frozen = blockResolutions(shape)
    .reverse()
    .slice(0, blocks)
    .map((resolution) => `b${resolution}/`);
  const names = discriminatorVariables(shape).map(({ name }) => name);
  return new Set(names.filter((name) => frozen.some((block) => name.startsWith(block))));
}

/** Sum of the sizes of variables. */
export function parameterCount(specs: readonly VariableSpec[]): number {
  return specs.reduce((total, { shape }) => total + shape.reduce((size, side) => size * side, 1), 0);
}
