import { blockResolutions, featureMaps, makesPixels, readsPixels, type NetworkShape } from './architecture.ts';

/**
 * Multiply-accumulates of convolutions and matrix products per image (stylegan2.md 2.6-2.8): what a pass must cost at
 * least. Styles (0.03%), resampling filters and elementwise work are not counted.
 */

/** One forward pass of G, mapping included. */
export function generatorMacs(shape: NetworkShape): number {
  const { latentSize, mappingLayers, channels, labels } = shape;
  let macs = mappingLayers * latentSize ** 2 + (labels > 0 ? latentSize ** 2 : 0);
  for (const side of blockResolutions(shape)) {
    const to = featureMaps(shape, side);
    const from = side > 4 ? featureMaps(shape, side / 2) : 0;
    macs += 9 * from * to * (side / 2) ** 2; // a transposed convolution works per input pixel
    macs += 9 * to ** 2 * side ** 2;
    if (shape.gArchitecture === 'resnet') macs += from * to * (side / 2) ** 2;
    if (makesPixels(shape, side)) macs += channels * to * side ** 2;
  }
  return macs;
}

/** One forward pass of D. */
export function discriminatorMacs(shape: NetworkShape): number {
  const last = featureMaps(shape, 4);
  let macs = 9 * (last + 1) * last * 16 + 16 * last ** 2 + last * Math.max(shape.labels, 1);
  for (const side of blockResolutions(shape)) {
    const from = featureMaps(shape, side);
    if (readsPixels(shape, side)) macs += shape.channels * from * side ** 2;
    if (side === 4) continue;
    const to = featureMaps(shape, side / 2);
    macs += 9 * from ** 2 * side ** 2 + 9 * from * to * (side / 2) ** 2;
    if (shape.dArchitecture === 'resnet') macs += from * to * (side / 2) ** 2;
  }
  return macs;
}

export type PhaseName = 'gMain' | 'gPathLength' | 'dMain' | 'dR1';

/**
 * Multiply-accumulates of each phase for a pass of `images` (path length: half of them). A gradient with respect to inputs or
 * to weights costs one forward pass; of a regulariser all is done twice over: forward, backward to the inputs, then backward
 * through both, each to inputs and weights.
 */
export function phaseMacs(shape: NetworkShape, images: number): Record<PhaseName, number> {
  const g = generatorMacs(shape) * images;
  const d = discriminatorMacs(shape) * images;
  return { gMain: 3 * g + 2 * d, gPathLength: (6 * g) / 2, dMain: g + 6 * d, dR1: 6 * d };
}
