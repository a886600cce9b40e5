import { describe, expect, it } from 'vitest';
import { memoized } from '../../activities/memo.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';

describe('a remembered result', () => {
  const unit = { studyId: 's', identity: { activity: 'measure', parts: [1] } };

  it('is computed once, and has its keys in the same order whether computed or found again', async () => {
    const store = createMemoryStore();
    let computed = 0;
    const compute = (): Promise<{ z: number; a: { c: number; b: number } }> => {
      computed++;
      return Promise.resolve({ z: 1, a: { c: 2, b: 3 } });
    };
    const first = await memoized(store, unit, compute);
    const again = await memoized(store, unit, compute);
    expect([computed, JSON.stringify(again)]).toEqual([1, JSON.stringify(first)]);
    expect(first).toEqual({ z: 1, a: { c: 2, b: 3 } });
  });
});
