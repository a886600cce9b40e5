import { describe, expect, it } from 'vitest';
import { inputsForSeed, inputsForSeeds, latentsForSeed } from '../../../lib/synthesis/seed-inputs.ts';

// stylegan2.md 9.1: z[0..3] and the first three of the 4x4 noise map that follows 512 latents.
const golden: [number, number[], number[]][] = [
  [
    1,
    [1.6243453636632417, -0.6117564136500754, -0.5281717522634557, -1.0729686221561705],
    [0.1698692553475717, -1.1640079711612021, 0.6933662256603845],
  ],
  [
    2,
    [-0.4167578474054706, -0.056266827226329474, -2.136196095668454, 1.6402708084049886],
    [1.2887694068618765, 0.13492546217094, -1.778600641324842],
  ],
  [
    25000,
    [-0.09155515012878233, 1.671733922103564, 0.6283611139061847, 0.3579693612451171],
    [-1.2241441299380063, -1.7091848011564281, 0.5471760575149033],
  ],
];

describe('inputsForSeed', () => {
  it.each(golden)('gives the golden latents and noise of seed %d', (seed, z, noise0) => {
    const inputs = inputsForSeed({ seed, latentSize: 512, noiseSizes: [4, 8] });
    expect([...inputs.z.slice(0, 4)]).toEqual([...Float32Array.from(z)]);
    expect([...inputs.noise[0]!.slice(0, 3)]).toEqual([...Float32Array.from(noise0)]);
    expect(inputs.noise.map((map) => map.length)).toEqual([16, 64]);
    expect(latentsForSeed({ seed, latentSize: 512 })).toEqual(inputs.z);
  });
});

describe('inputsForSeeds', () => {
  it('puts every seed into its slot, whatever its neighbours', () => {
    const shape = { latentSize: 8, noiseSizes: [4, 8] };
    const batch = inputsForSeeds({ seeds: [7, 3], ...shape });
    const alone = inputsForSeed({ seed: 3, ...shape });
    expect(batch.z.slice(8)).toEqual(alone.z);
    expect(batch.noise[1]!.slice(64)).toEqual(alone.noise[1]);
    expect(batch.z.slice(0, 8)).not.toEqual(alone.z);
  });
});
