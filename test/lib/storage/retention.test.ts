import { describe, expect, it } from 'vitest';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import { deleteDropped, planRetention, type KeptCheckpoint } from '../../../lib/storage/retention.ts';

const checkpoint = (at: number, snapshot: number | null, sha256 = String(at)): KeptCheckpoint => ({
  at,
  snapshot,
  file: { sha256, bytes: 1 },
});

describe('planRetention', () => {
  it('keeps the last two, the best and every tenth snapshot', () => {
    const made = Array.from({ length: 25 }, (_, i) => checkpoint(1000 * (i + 1), i));
    const { kept, dropped } = planRetention(made, 7000);
    expect(kept.map(({ snapshot }) => snapshot)).toEqual([0, 6, 10, 20, 23, 24]);
    expect(dropped).toHaveLength(25 - 6);
  });

  it('drops a checkpoint between snapshots once two newer ones are there, whatever stands at the best place', () => {
    const made = [checkpoint(1, null), checkpoint(2, null), checkpoint(3, null)];
    expect(planRetention(made, 1).dropped.map(({ sha256 }) => sha256)).toEqual(['1']);
    expect(planRetention(made.slice(1), 1).dropped).toEqual([]);
  });

  it('gives the same when it is asked after every checkpoint as when it is asked at the end', () => {
    const made = Array.from({ length: 40 }, (_, i) => checkpoint(i, i));
    let held: readonly KeptCheckpoint[] = [];
    for (const one of made) held = planRetention([...held, one], 0).kept;
    expect(held).toEqual(planRetention(made, 0).kept);
  });

  it('never drops a file that a kept checkpoint shares, nor names one twice', () => {
    const made = [
      checkpoint(1, null, 'x'),
      checkpoint(2, null, 'y'),
      checkpoint(3, null, 'y'),
      checkpoint(4, null, 'x'),
      checkpoint(5, null, 'z'),
    ];
    expect(planRetention(made, null).dropped.map(({ sha256 }) => sha256)).toEqual(['y']);
  });
});

describe('deleteDropped', () => {
  it('deletes what the plan names and nothing that is being uploaded', async () => {
    const store = createMemoryStore();
    for (const name of ['old', 'kept', 'in-flight']) await store.put(`files/${name}`, Buffer.from(name));
    const dropped = [{ sha256: 'old', bytes: 3 }];
    await deleteDropped(store, { dropped, keyOf: (sha256) => `files/${sha256}` });
    await deleteDropped(store, { dropped, keyOf: (sha256) => `files/${sha256}` });
    const left: string[] = [];
    for await (const { key } of store.list('files/')) left.push(key);
    expect(left).toEqual(['files/in-flight', 'files/kept']);
  });
});
