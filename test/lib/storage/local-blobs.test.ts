import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BlobRef } from '../../../contract/refs.ts';
import { putBlob } from '../../../lib/storage/blobs.ts';
import { createBlobCache } from '../../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import type { ObjectStore } from '../../../lib/storage/object-store.ts';

let dir: string;
let store: ObjectStore;
let downloads: number;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-cache-'));
  downloads = 0;
  const memory = createMemoryStore();
  store = {
    ...memory,
    getStream: (key) => {
      downloads++;
      return memory.getStream(key);
    },
  };
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const put = (text: string): Promise<BlobRef> => putBlob(store, Buffer.from(text.padEnd(100, '.')));
const anHourAgo = new Date(Date.now() - 3_600_000);

describe('the blob cache', () => {
  it('downloads a blob once, also for callers at the same time', async () => {
    const cache = createBlobCache({ dir, maxBytes: 1000 });
    const ref = await put('a');
    const files = await Promise.all([cache.fetch(store, ref), cache.fetch(store, ref)]);
    expect(await cache.fetch(store, ref)).toBe(files[0]);
    expect(downloads).toBe(1);
    expect(await readFile(files[1], 'utf8')).toBe('a'.padEnd(100, '.'));
  });

  it('serves two caches on one directory, as two processes have them', async () => {
    const ref = await put('a');
    const caches = [createBlobCache({ dir, maxBytes: 1000 }), createBlobCache({ dir, maxBytes: 1000 })];
    const files = await Promise.all(caches.map((cache) => cache.fetch(store, ref)));
    expect(files[0]).toBe(files[1]);
    expect(await readdir(dir)).toEqual([ref.sha256]);
  });

  it('removes what was fetched longest ago when it is over its bound', async () => {
    const cache = createBlobCache({ dir, maxBytes: 250 });
    const [a, b] = [await put('a'), await put('b')];
    for (const ref of [a, b]) await utimes(await cache.fetch(store, ref), anHourAgo, anHourAgo);
    await cache.fetch(store, a);
    await cache.fetch(store, await put('c'));
    expect(await readdir(dir)).toContain(a.sha256);
    expect(await readdir(dir)).not.toContain(b.sha256);
  });

  it('keeps what was fetched just now, whatever the bound says', async () => {
    const cache = createBlobCache({ dir, maxBytes: 1 });
    const files = [await cache.fetch(store, await put('a')), await cache.fetch(store, await put('b'))];
    expect((await readdir(dir)).length).toBe(files.length);
  });

  it('downloads again when the file was cut short', async () => {
    const cache = createBlobCache({ dir, maxBytes: 1000 });
    const ref = await put('a');
    const file = await cache.fetch(store, ref);
    await writeFile(file, 'a');
    expect(await readFile(await cache.fetch(store, ref), 'utf8')).toHaveLength(100);
    expect(downloads).toBe(2);
  });

  it('tries again after a download that failed', async () => {
    const cache = createBlobCache({ dir, maxBytes: 1000 });
    const ref = await put('a');
    const broken: ObjectStore = { ...store, getStream: () => Promise.reject(new Error('down')) };
    await expect(cache.fetch(broken, ref)).rejects.toThrow('down');
    expect(await cache.fetch(store, ref)).toBe(join(dir, ref.sha256));
  });
});
