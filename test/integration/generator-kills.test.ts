import { describe, expect, it } from 'vitest';
import { totalNimg, trainThrough } from '../support/killed-training.ts';

describe('a generator training whose engine process is killed', () => {
  it('between two checkpoints and beside one gives the weights, grids and events of the undisturbed one', async () => {
    const calm = await trainThrough([]);
    expect(calm.result).toMatchObject({ nimg: totalNimg });
    const tags = new Set(calm.events.map(([tag]) => tag));
    for (const tag of ['Loss/G', 'fakes', 'Progress/ms_ssim', 'TrainD/overflow_frequency']) expect(tags).toContain(tag);
    const killed = await trainThrough([
      { nimg: 176, delayMs: 0 },
      { nimg: 496, delayMs: 100 },
    ]);
    expect(killed.kills).toHaveLength(2);
    expect(killed.attempts).toBe(calm.attempts + 2);
    expect(killed.result).toEqual(calm.result);
    expect(killed.events).toEqual(calm.events);
  });
});
