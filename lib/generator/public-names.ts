import type { TensorFile } from '../engine/tensor-file.ts';
import { WeightsError } from '../errors.ts';
import {
  blockResolutions,
  featureMaps,
  generatorVariables,
  noiseSizes,
  type NetworkShape,
  type VariableSpec,
} from './architecture.ts';

/**
 * Names, shapes and orders of the public PyTorch StyleGAN2 (rosinality/stylegan2-pytorch, the state dictionary of its
 * Generator): `style.1.weight`, `convs.0.conv.modulation.bias`, ... Dense kernels are [out, in]; convolutions
 * [1, out, in, k, k], those that upsample turned by 180 degrees, since PyTorch's transposed convolution turns them back;
 * styles start at a bias of 1, where ours adds the 1.
 */

/** One tensor of the public layout and where its values come from. */
export interface PublicTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Ours, and how its values are ordered: [planes, from, to], `flipped` along the planes. Null: in the same order. */
  readonly own: string;
  readonly axes: readonly [planes: number, from: number, to: number] | null;
  readonly flipped: boolean;
  /** A bias that starts at 1 there, at 0 here. */
  readonly plusOne: boolean;
}

const fir = [1, 3, 3, 1];
/** The filter of every upsampling, gain 4 included, [4, 4]; both sides hold it exactly. */
export const upsamplingFilter = Float32Array.from(fir.flatMap((a) => fir.map((b) => (a * b) / 16)));

/** Names of the 3x3 layers and of the layer that makes pixels in the block of a resolution. */
function layersOf(resolution: number): { readonly convs: [own: string, theirs: string][]; readonly toRgb: string } {
  const block = Math.log2(resolution) - 3; // of 8 px: 0
  if (resolution === 4) return { convs: [['conv1', 'conv1']], toRgb: 'to_rgb1' };
  const convs: [string, string][] = [
    ['conv0', `convs.${2 * block}`],
    ['conv1', `convs.${2 * block + 1}`],
  ];
  return { convs, toRgb: `to_rgbs.${block}` };
}

/** Every learned tensor, and `latent_avg`. @throws WeightsError for a generator that the public layout cannot say */
export function learnedTensors(shape: NetworkShape): PublicTensor[] {
  if (shape.gArchitecture !== 'skip' || shape.labels > 0)
    throw new WeightsError(
      `the public layout holds generators of architecture skip without labels, got ${shape.gArchitecture} with ${shape.labels} labels`,
    );
  const { latentSize } = shape;
  const same = { axes: null, flipped: false, plusOne: false } as const;
  const dense = (name: string, own: string, to: number): PublicTensor[] => [
    { ...same, name: `${name}.weight`, shape: [to, latentSize], own, axes: [1, latentSize, to] },
  ];
  const modulated = (name: string, own: string, options: { kernel: 1 | 3; from: number; to: number }) => {
    const { kernel, from, to } = options;
    const flipped = own.endsWith('/conv0');
    const weight = [1, to, from, kernel, kernel];
    return [
      ...dense(`${name}.modulation`, `${own}/affineWeight`, from),
      { ...same, name: `${name}.modulation.bias`, shape: [from], own: `${own}/affineBias`, plusOne: true },
      { ...same, name: `${name}.weight`, shape: weight, own: `${own}/weight`, axes: [kernel ** 2, from, to], flipped },
    ] satisfies PublicTensor[];
  };
  const list: PublicTensor[] = [{ ...same, name: 'latent_avg', shape: [latentSize], own: 'wAvg' }];
  for (let i = 0; i < shape.mappingLayers; i++)
    list.push(...dense(`style.${i + 1}`, `mapping/dense${i}/weight`, latentSize), {
      ...same,
      name: `style.${i + 1}.bias`,
      shape: [latentSize],
      own: `mapping/dense${i}/bias`,
    });
  const first = featureMaps(shape, 4);
  list.push({ ...same, name: 'input.input', shape: [1, first, 4, 4], own: 'synthesis/b4/const', axes: [16, 1, first] });
  for (const resolution of blockResolutions(shape)) {
    const block = `synthesis/b${resolution}`;
    const { convs, toRgb } = layersOf(resolution);
    const to = featureMaps(shape, resolution);
    for (const [layer, name] of convs) {
      const own = `${block}/${layer}`;
      const from = layer === 'conv0' ? featureMaps(shape, resolution / 2) : to;
      list.push(
        ...modulated(`${name}.conv`, own, { kernel: 3, from, to }),
        { ...same, name: `${name}.noise.weight`, shape: [1], own: `${own}/noiseStrength` },
        { ...same, name: `${name}.activate.bias`, shape: [to], own: `${own}/bias` },
      );
    }
    list.push(...modulated(`${toRgb}.conv`, `${block}/toRgb`, { kernel: 1, from: to, to: shape.channels }), {
      ...same,
      name: `${toRgb}.bias`,
      shape: [1, shape.channels, 1, 1],
      own: `${block}/toRgb/bias`,
    });
  }
  return list;
}

/** What the public layout holds besides: the upsampling filters and one noise map per layer. */
export function constantTensors(shape: NetworkShape): {
  readonly filters: VariableSpec[];
  readonly noise: VariableSpec[];
} {
  const upsampled = blockResolutions(shape).slice(1);
  const filters = upsampled.flatMap((_, block) => [`convs.${2 * block}.conv.blur`, `to_rgbs.${block}.upsample`]);
  return {
    filters: filters.map((name) => ({ name: `${name}.kernel`, shape: [4, 4], std: 0 })),
    noise: noiseSizes(shape).map((side, i) => ({ name: `noises.noise_${i}`, shape: [1, 1, side, side], std: 0 })),
  };
}

/** Variables of a snapshot. */
export const snapshotVariables = (
  shape: NetworkShape,
): { readonly name: string; readonly shape: readonly number[] }[] => [
  ...generatorVariables(shape),
  { name: 'wAvg', shape: [shape.latentSize] },
];

/** Sizes that the tensors themselves tell. @throws WeightsError when they tell none */
export function shapeOfPublic(tensors: TensorFile['tensors'], what: string): NetworkShape {
  const side = (name: string, axis: number): number => {
    const size = tensors.get(name)?.shape[axis];
    if (size !== undefined) return size;
    const [some = 'nothing'] = tensors.keys();
    throw new WeightsError(
      `${what} has no ${name}: expected the state of an averaged generator of the public PyTorch StyleGAN2 with latent_avg beside it, found ${some} and ${Math.max(tensors.size - 1, 0)} others`,
    );
  };
  let mappingLayers = 0;
  while (tensors.has(`style.${mappingLayers + 1}.weight`)) mappingLayers++;
  const widths = [side('conv1.conv.weight', 1)];
  while (tensors.has(`convs.${2 * widths.length - 2}.conv.weight`))
    widths.push(side(`convs.${2 * widths.length - 2}.conv.weight`, 1));
  const channels = side('to_rgb1.bias', 1);
  if (channels !== 1 && channels !== 3)
    throw new WeightsError(`to_rgb1.bias of ${what} is for ${channels} channels, expected 1 or 3`);
  if (widths.length < 2) throw new WeightsError(`${what} has no convs.0.conv.weight: expected at least 8 px`);
  return {
    resolution: 2 ** (widths.length + 1),
    channels,
    // The smallest base that gives these widths: floor(base / 2^s) for 2^(s+1) px, none above the widest.
    fmapBase: Math.max(...widths.map((width, block) => width * 2 ** (block + 1))),
    fmapMax: Math.max(...widths),
    latentSize: side('style.1.weight', 1),
    mappingLayers,
    gArchitecture: 'skip',
    dArchitecture: 'resnet',
    labels: 0,
  };
}
