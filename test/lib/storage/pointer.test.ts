import { beforeEach, describe, expect, it } from 'vitest';
import { ConflictError } from '../../../lib/errors.ts';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import type { ObjectStore } from '../../../lib/storage/object-store.ts';
import { createPointer, movePointer, readPointer, updatePointer } from '../../../lib/storage/pointer.ts';

let store: ObjectStore;
beforeEach(() => {
  store = createMemoryStore();
});

describe('pointers', () => {
  it('read as null before they are created', async () => {
    expect(await readPointer(store, 'p')).toBeNull();
  });

  it('are created once: the second creator is told and changes nothing', async () => {
    expect(await createPointer(store, 'p', { by: 'a' })).toBe(true);
    expect(await createPointer(store, 'p', { by: 'b' })).toBe(false);
    expect((await readPointer(store, 'p'))?.value).toEqual({ by: 'a' });
  });

  it('move only from the version that was read', async () => {
    await createPointer(store, 'p', { n: 1 });
    const read = (await readPointer<{ n: number }>(store, 'p'))!;
    const moved = await movePointer(store, { key: 'p', value: { n: 2 }, etag: read.etag });
    await expect(movePointer(store, { key: 'p', value: { n: 9 }, etag: read.etag })).rejects.toThrow(ConflictError);
    await movePointer(store, { key: 'p', value: { n: 3 }, etag: moved.etag });
    expect((await readPointer(store, 'p'))?.value).toEqual({ n: 3 });
  });
});

describe('updatePointer', () => {
  it('loses no entry of twenty writers at once', async () => {
    const append = (entry: number): Promise<unknown> =>
      updatePointer<{ entries: readonly number[] }>(store, 'ledger', (present) => ({
        entries: [...(present?.entries ?? []), entry],
      }));
    await Promise.all(Array.from({ length: 20 }, (_, i) => append(i)));
    const { entries } = (await readPointer<{ entries: number[] }>(store, 'ledger'))!.value;
    expect(entries.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('writes nothing when the change is no change', async () => {
    await createPointer(store, 'p', { n: 1 });
    const closed: ObjectStore = { ...store, put: () => Promise.reject(new Error('written')) };
    expect(await updatePointer(closed, 'p', () => ({ n: 1 }))).toEqual({ n: 1 });
    await expect(updatePointer(closed, 'p', () => ({ n: 2 }))).rejects.toThrow('written');
  });
});
