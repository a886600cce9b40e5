import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { inputsForSeeds, type SeedInputs } from '../../../lib/synthesis/seed-inputs.ts';
import { seedStreams } from '../../../lib/synthesis/seed-streams.ts';

const sizes = { latentSize: 8, noiseSizes: [4, 8, 8] };
const blocksOf = (count: number): number[][] => Array.from({ length: count }, (_, i) => [3 * i, 3 * i + 1, 3 * i + 2]);
const threads = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length;

/** Reads the blocks as a network would: the thread has time to start. */
async function all(blocks: number[][], pauseMs = 0): Promise<SeedInputs[]> {
  const found: SeedInputs[] = [];
  for await (const inputs of seedStreams(blocks, sizes)) {
    found.push(inputs);
    if (pauseMs > 0) await sleep(found.length === 1 ? pauseMs : 1);
  }
  return found;
}

describe('seedStreams', () => {
  it.each([
    [0, 0],
    [1, 0],
    [20, 0],
    [20, 4000],
  ])('gives the inputs of %d blocks in their order, whichever thread drew them', async (count, pauseMs) => {
    const blocks = blocksOf(count);
    expect(await all(blocks, pauseMs)).toEqual(blocks.map((seeds) => inputsForSeeds({ seeds, ...sizes })));
  });

  it('ends its thread when the reader stops early', async () => {
    const before = threads();
    for await (const inputs of seedStreams(blocksOf(20), sizes)) if (inputs.z.length > 0) break;
    expect(threads()).toBe(before);
  });

  it('fails with the error of the thread', async () => {
    await expect(all([...blocksOf(8), [-1]], 4000)).rejects.toThrow(/expected a seed from 0 to 4294967295/);
  });
});
