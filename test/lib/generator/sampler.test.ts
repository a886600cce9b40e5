import { beforeAll, describe, expect, it } from 'vitest';
import { loadEngine } from '../../../lib/engine/backend.ts';
import { noiseSizes } from '../../../lib/generator/architecture.ts';
import { createSampler, toBytes, toGridBytes, type Sampler } from '../../../lib/generator/sampler.ts';
import { createTrainingState, normals } from '../../../lib/generator/state.ts';
import { createRng } from '../../../lib/random.ts';
import { smallConfig, smallShape } from './small.ts';

beforeAll(loadEngine);

const settings = { precision: 'fp32', execution: 'eager' } as const;
let sampler: Sampler;
beforeAll(() => {
  const state = createTrainingState({ shape: smallShape, config: smallConfig, seed: 1, stream: 'sampler' });
  for (const [name, variable] of state.gs) if (name.endsWith('noiseStrength')) variable.assign(variable.add(0.1)); // 0 at the start: noise would not show
  const networks = { weights: state.gs, wAvg: state.wAvg, shape: smallShape };
  sampler = createSampler({ name: 'test', ...networks, settings, batchSize: 2 });
});

const draw = (count: number, name: string): Float32Array => normals(count, createRng(1, name));
/** Two images: their latents by name, noise equal in both or drawn for each. */
function images(psi: number, latents: readonly string[], noise: 'shared' | 'own'): Float32Array[] {
  const z = Float32Array.from(latents.flatMap((name) => [...draw(8, name)]));
  const maps = noiseSizes(smallShape).map((side, layer) => {
    const map = (image: number): number[] => [...draw(side * side, `${layer}/${noise === 'own' ? image : 0}`)];
    return Float32Array.from([...map(0), ...map(1)]);
  });
  const pixels = sampler.sampleRaw({ z, noise: maps, psi });
  return [pixels.slice(0, 64), pixels.slice(64)];
}
const difference = ([a, b]: Float32Array[]): number => Math.max(...a!.map((x, i) => Math.abs(x - b![i]!)));

describe('truncation', () => {
  it('psi 0 gives one image for all latents apart from noise', () => {
    expect(difference(images(0, ['a', 'b'], 'shared'))).toBe(0);
    expect(difference(images(0, ['a', 'b'], 'own'))).toBeGreaterThan(0.01);
  });
  it('psi 1 gives each latent its own image, psi 1.6 goes further from the mean', () => {
    const [at0, at1, at16] = [0, 1, 1.6].map((psi) => images(psi, ['a', 'b'], 'shared'));
    expect(difference(at1!)).toBeGreaterThan(0.05);
    expect(difference([at0![0]!, at16![0]!])).toBeGreaterThan(difference([at0![0]!, at1![0]!]));
  });
});

describe('pixels to bytes', () => {
  it('floors 127.5 y + 128 for images, rounds (y + 1) 127.5 for grids, and limits both (stylegan2.md 2.10)', () => {
    const pixels = Float32Array.from([-2, -1, -0.999, 0, 0.5, 0.999, 1, 2]);
    expect([...toBytes(pixels)]).toEqual([0, 0, 0, 128, 191, 255, 255, 255]);
    expect([...toGridBytes(pixels)]).toEqual([0, 0, 0, 128, 191, 255, 255, 255]);
    expect([...toGridBytes(Float32Array.from([-0.997, 0.005]))]).toEqual([0, 128]);
    expect([...toBytes(Float32Array.from([-0.995, 0.995]))]).toEqual([1, 254]);
  });
});
