import { describe, expect, it } from 'vitest';
import {
  discriminatorVariables,
  featureMaps,
  generatorVariables,
  noiseSizes,
  parameterCount,
  styleCount,
  type NetworkShape,
} from '../../../lib/generator/architecture.ts';

const shape = (resolution: number, channels: 1 | 3, fmapBase: number): NetworkShape => ({
  resolution,
  channels,
  fmapBase,
  fmapMax: 512,
  latentSize: 512,
  mappingLayers: 8,
});

describe('parameter totals equal the published ones (stylegan2.md 2.8)', () => {
  it.each([
    ['config-e 256 px RGB', shape(256, 3, 8192), 24_767_458, 24_001_089],
    ['config-e 256 px grey', shape(256, 1, 8192), 24_762_452, 24_000_961],
    ['config-f 256 px RGB', shape(256, 3, 16_384), 30_034_338, 28_864_129],
    ['config-e 128 px grey', shape(128, 1, 8192), 24_520_337, 23_882_113],
    ['config-e 64 px grey', shape(64, 1, 8192), 23_814_926, 23_406_849],
    ['config-e 1024 px RGB', shape(1024, 3, 8192), 24_900_764, 24_038_161],
    ['config-f 1024 px RGB', shape(1024, 3, 16_384), 30_370_060, 29_012_513],
  ])('%s', (_, network, g, d) => {
    expect(parameterCount(generatorVariables(network))).toBe(g);
    expect(parameterCount(discriminatorVariables(network))).toBe(d);
  });
});

it('has the feature maps, styles and noise maps of config-e at 256 px', () => {
  const e256 = shape(256, 1, 8192);
  expect([4, 8, 16, 32, 64, 128, 256].map((r) => featureMaps(e256, r))).toEqual([512, 512, 512, 512, 256, 128, 64]);
  expect(styleCount(e256)).toBe(14);
  expect(noiseSizes(e256)).toEqual([4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256]);
  expect(noiseSizes(e256).reduce((sum, side) => sum + side * side, 0)).toBe(174_736); // normals per image, 4.3
});

it('names every variable once', () => {
  for (const specs of [generatorVariables(shape(64, 3, 8192)), discriminatorVariables(shape(64, 3, 8192))])
    expect(new Set(specs.map(({ name }) => name)).size).toBe(specs.length);
});
