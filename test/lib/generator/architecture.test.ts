import { describe, expect, it } from 'vitest';
import {
  discriminatorVariables,
  featureMaps,
  generatorVariables,
  noiseSizes,
  parameterCount,
  styleCount,
  type NetworkShape,
  type VariableSpec,
} from '../../../lib/generator/architecture.ts';
import { discriminatorMacs, generatorMacs, phaseMacs } from '../../../lib/generator/cost.ts';

const shape = (resolution: number, channels: 1 | 3, fmapBase: number): NetworkShape => ({
  resolution,
  channels,
  fmapBase,
  fmapMax: 512,
  latentSize: 512,
  mappingLayers: 8,
  gArchitecture: 'skip',
  dArchitecture: 'resnet',
  labels: 0,
});

describe('parameters and billions of multiply-accumulates equal the published ones (stylegan2.md 2.8)', () => {
  it.each([
    ['config-e 256 px RGB', shape(256, 3, 8192), 24_767_458, 24_001_089, 14.9, 15.38],
    ['config-e 256 px grey', shape(256, 1, 8192), 24_762_452, 24_000_961, 14.88, 15.37],
    ['config-f 256 px RGB', shape(256, 3, 16_384), 30_034_338, 28_864_129, 45.12, 46.53],
    ['config-e 128 px grey', shape(128, 1, 8192), 24_520_337, 23_882_113, 11.26, 11.61],
    ['config-e 64 px grey', shape(64, 1, 8192), 23_814_926, 23_406_849, 7.63, 7.85],
    ['config-e 1024 px RGB', shape(1024, 3, 8192), 24_900_764, 24_038_161, 22.22, 22.93],
    ['config-f 1024 px RGB', shape(1024, 3, 16_384), 30_370_060, 29_012_513, null, null],
  ])('%s', (_, network, g, d, gMacs, dMacs) => {
    expect(parameterCount(generatorVariables(network))).toBe(g);
    expect(parameterCount(discriminatorVariables(network))).toBe(d);
    if (gMacs === null) return; // not published
    expect(Math.round(generatorMacs(network) / 1e7) / 100).toBe(gMacs);
    expect(Math.round(discriminatorMacs(network) / 1e7) / 100).toBe(dMacs);
  });
});

it('needs 0.4 PFLOP per kimg of config-e at 256 px with lazy regularisation (stylegan2.md 0)', () => {
  const { gMain, gPathLength, dMain, dR1 } = phaseMacs(shape(256, 3, 8192), 1000);
  expect((2 * (gMain + gPathLength / 4 + dMain + dR1 / 16)) / 1e15).toBeCloseTo(0.4, 1);
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

describe('variants', () => {
  const names = (gArchitecture: NetworkShape['gArchitecture'], dArchitecture: NetworkShape['dArchitecture']) => {
    const network = { ...shape(16, 3, 8192), gArchitecture, dArchitecture };
    const all = [...generatorVariables(network), ...discriminatorVariables(network)].map(({ name }) => name);
    return all.filter((name) => /(toRgb|fromRgb|skip)\/weight/.test(name));
  };
  it('skip: pixels at every resolution', () => {
    const toRgb = [4, 8, 16].map((side) => `synthesis/b${side}/toRgb/weight`);
    expect(names('skip', 'skip')).toEqual([...toRgb, ...[16, 8, 4].map((side) => `b${side}/fromRgb/weight`)]);
  });
  it('resnet: pixels at the full resolution, a shortcut in every block', () => {
    expect(names('resnet', 'resnet')).toEqual([
      ...['synthesis/b8/skip/weight', 'synthesis/b16/skip/weight', 'synthesis/b16/toRgb/weight'],
      ...['b16/fromRgb/weight', 'b16/skip/weight', 'b8/skip/weight'],
    ]);
  });
  it('orig: pixels at the full resolution and nothing beside the main path', () => {
    expect(names('orig', 'orig')).toEqual(['synthesis/b16/toRgb/weight', 'b16/fromRgb/weight']);
  });
  it('conditional: an embedding of the label beside z, one score per class', () => {
    const plain = shape(256, 3, 8192);
    const extra = (of: (network: NetworkShape) => VariableSpec[]): number =>
      parameterCount(of({ ...plain, labels: 2 })) - parameterCount(of(plain));
    expect(extra(generatorVariables)).toBe(2 * 512 + 512 * 512);
    expect(extra(discriminatorVariables)).toBe(512 + 1);
  });
});
