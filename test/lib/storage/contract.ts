import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ConflictError, CorruptObjectError, NotFoundError } from '../../../lib/errors.ts';
import type { ObjectStore } from '../../../lib/storage/object-store.ts';

/** What every store must do. `largeBytes`: a file size that the store sends in parts, if it knows such. */
export function storeContract(
  name: string,
  { open, largeBytes }: { readonly open: () => Promise<ObjectStore> | ObjectStore; readonly largeBytes: number },
): void {
  describe(`the ${name} store`, () => {
    let store: ObjectStore;
    let dir: string;
    let counter = 0;
    /** A prefix that no other test uses. */
    const fresh = (): string => `contract/${counter++}/`;
    const text = async (key: string): Promise<string> => (await store.get(key)).toString();

    beforeAll(async () => {
      store = await open();
      dir = await mkdtemp(join(tmpdir(), 'echoforge-contract-'));
    });
    afterAll(() => rm(dir, { recursive: true, force: true }));

    it('gives back the bytes that were put, and replaces them on the next put', async () => {
      const key = `${fresh()}a`;
      await store.put(key, Buffer.from('one'));
      expect(await text(key)).toBe('one');
      await store.put(key, new Uint8Array([0, 255, 7]).subarray(1));
      expect([...(await store.get(key))]).toEqual([255, 7]);
    });

    it('keeps an empty object', async () => {
      const key = `${fresh()}empty`;
      await store.put(key, new Uint8Array());
      expect(await store.get(key)).toHaveLength(0);
      expect((await store.head(key))?.bytes).toBe(0);
      expect(await buffer(await store.getStream(key))).toHaveLength(0);
    });

    it('answers the same etag from put, head, get and list', async () => {
      const prefix = fresh();
      const { etag } = await store.put(`${prefix}a`, Buffer.from('etag'));
      expect(await store.head(`${prefix}a`)).toEqual({ bytes: 4, etag });
      expect((await store.getWithEtag(`${prefix}a`)).etag).toBe(etag);
      expect(await collect(store.list(prefix))).toEqual([{ key: `${prefix}a`, bytes: 4, etag }]);
    });

    it('names a missing object by its key, and heads it as null', async () => {
      const key = `${fresh()}missing`;
      await expect(store.get(key)).rejects.toThrow(new NotFoundError(key));
      await expect(store.getStream(key)).rejects.toThrow(new NotFoundError(key));
      expect(await store.head(key)).toBeNull();
    });

    it('creates with If-None-Match only where nothing is', async () => {
      const key = `${fresh()}once`;
      await store.put(key, Buffer.from('first'), { ifNoneMatch: '*' });
      await expect(store.put(key, Buffer.from('second'), { ifNoneMatch: '*' })).rejects.toThrow(ConflictError);
      expect(await text(key)).toBe('first');
    });

    it('refuses a create of equal bytes, too', async () => {
      const key = `${fresh()}once`;
      await store.put(key, Buffer.from('same'), { ifNoneMatch: '*' });
      await expect(store.put(key, Buffer.from('same'), { ifNoneMatch: '*' })).rejects.toThrow(ConflictError);
    });

    it('replaces with If-Match only the version that the etag names', async () => {
      const key = `${fresh()}pointer`;
      const first = await store.put(key, Buffer.from('1'));
      const second = await store.put(key, Buffer.from('2'), { ifMatch: first.etag });
      await expect(store.put(key, Buffer.from('stale'), { ifMatch: first.etag })).rejects.toThrow(ConflictError);
      expect(await text(key)).toBe('2');
      await store.put(key, Buffer.from('3'), { ifMatch: second.etag });
      expect(await text(key)).toBe('3');
    });

    it('refuses If-Match where nothing is', async () => {
      const key = `${fresh()}missing`;
      await expect(store.put(key, Buffer.from('x'), { ifMatch: '0'.repeat(32) })).rejects.toThrow(ConflictError);
      expect(await store.head(key)).toBeNull();
    });

    it('lets exactly one of twenty simultaneous creates and of twenty simultaneous moves win', async () => {
      const key = `${fresh()}race`;
      const wins = async (condition: { ifNoneMatch: '*' } | { ifMatch: string }): Promise<number> => {
        const writes = Array.from({ length: 20 }, (_, i) =>
          store.put(key, Buffer.from(`${JSON.stringify(condition)} by ${i}`), condition),
        );
        const results = await Promise.allSettled(writes);
        for (const result of results)
          if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(ConflictError);
        return results.filter(({ status }) => status === 'fulfilled').length;
      };
      expect(await wins({ ifNoneMatch: '*' })).toBe(1);
      const created = await store.head(key);
      expect(await wins({ ifMatch: created!.etag })).toBe(1);
    });

    it('deletes, and is content when there is nothing to delete', async () => {
      const key = `${fresh()}gone`;
      await store.put(key, Buffer.from('x'));
      await store.delete(key);
      expect(await store.head(key)).toBeNull();
      await store.delete(key);
    });

    it('lists below a prefix only, deep, in order, with names as people give them to images', async () => {
      const prefix = fresh();
      const names = ['b/benign (1).png', 'b/x+y&z.png', 'b/é ü.png', 'a.png', 'b0.png', 'c/d/e.png'];
      for (const name of names) await store.put(`${prefix}${name}`, Buffer.from(name));
      await store.put(`${prefix.slice(0, -1)}x`, Buffer.from('outside'));
      const listed = (await collect(store.list(prefix))).map(({ key }) => key.slice(prefix.length));
      const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
      expect(listed).toEqual([...names].sort(byBytes));
      expect((await collect(store.list(`${prefix}b/`))).length).toBe(3);
      expect(await text(`${prefix}b/x+y&z.png`)).toBe('b/x+y&z.png');
    });

    it('lists more than one page of a thousand', async () => {
      const prefix = fresh();
      const names = Array.from({ length: 1003 }, (_, i) => `${prefix}${String(i).padStart(4, '0')}`);
      for (let i = 0; i < names.length; i += 64)
        await Promise.all(names.slice(i, i + 64).map((key) => store.put(key, Buffer.from('x'))));
      expect((await collect(store.list(prefix))).map(({ key }) => key)).toEqual(names);
    });

    it.each([
      ['an empty file', 0],
      ['a small file', 1000],
      ['a large file', largeBytes],
    ])('puts %s whole and streams it back', async (_, bytes) => {
      const key = `${fresh()}file`;
      const data = randomBytes(bytes);
      const file = join(dir, 'file');
      await writeFile(file, data);
      const sha256 = createHash('sha256').update(data).digest('hex');
      await store.putFile(key, file, { sha256 });
      expect((await store.head(key))?.bytes).toBe(bytes);
      expect((await buffer(await store.getStream(key))).equals(data)).toBe(true);
    });

    it.each([
      ['small', 1000],
      ['large', largeBytes],
    ])('stores nothing when a %s file is not what its hash says', async (_, bytes) => {
      const key = `${fresh()}wrong`;
      const file = join(dir, 'wrong');
      await writeFile(file, randomBytes(bytes));
      await expect(store.putFile(key, file, { sha256: '0'.repeat(64) })).rejects.toThrow(CorruptObjectError);
      expect(await store.head(key)).toBeNull();
    });

    it('ends with the reason of an aborted signal', async () => {
      const signal = AbortSignal.abort(new Error('enough'));
      const key = `${fresh()}aborted`;
      await expect(store.put(key, Buffer.from('x'), { signal })).rejects.toThrow('enough');
      await expect(store.get(key, { signal })).rejects.toThrow('enough');
      expect(await store.head(key)).toBeNull();
    });
  });
}

/** `Array.fromAsync` came with Node 22. */
async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
