import { describe, expect, it } from 'vitest';
import { drawKillPoints, trainThrough } from '../support/killed-training.ts';

/** `ECHOFORGE_KILL_SEED` chooses other moments. */
const seed = Number(process.env['ECHOFORGE_KILL_SEED'] ?? 1);

describe('a generator training at 32 px', () => {
  it('killed at ten random points gives the weights, grids and events of the undisturbed one', async () => {
    const calm = await trainThrough([]);
    const points = drawKillPoints(10, seed);
    const killed = await trainThrough(points);
    console.log(`kill -9 at images ${killed.kills.join(', ')}: ${killed.attempts} attempts`);
    expect(killed.kills).toHaveLength(points.length);
    expect(killed.attempts).toBeGreaterThanOrEqual(2 + points.length);
    expect(killed.result).toEqual(calm.result);
    expect(killed.events).toEqual(calm.events);
  });
});
