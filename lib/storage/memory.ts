import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { ConflictError, CorruptObjectError, NotFoundError } from '../errors.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';

/** A store in this process, for unit tests. */
export function createMemoryStore(): ObjectStore {
  const objects = new Map<string, Buffer>();
  const present = (key: string): Buffer => {
    const data = objects.get(key);
    if (!data) throw new NotFoundError(key);
    return data;
  };

  const store: ObjectStore = {
    get: (key, options) => answer(options?.signal, () => Buffer.from(present(key))),
    getWithEtag: (key, options) =>
      answer(options?.signal, () => ({ data: Buffer.from(present(key)), etag: etagOf(present(key)) })),
    getStream: (key, options) => answer(options?.signal, () => Readable.from([Buffer.from(present(key))])),
    put: (key, data, options = {}) =>
      answer(options.signal, () => {
        const stored = objects.get(key);
        if (options.ifNoneMatch !== undefined && stored) throw new ConflictError(key);
        if (options.ifMatch !== undefined && (!stored || etagOf(stored) !== options.ifMatch))
          throw new ConflictError(key);
        const copy = Buffer.from(data);
        objects.set(key, copy);
        return { etag: etagOf(copy) };
      }),
    putFile: async (key, file, options = {}) => {
      const data = await readFile(file);
      const sha256 = createHash('sha256').update(data).digest('hex');
      if (options.sha256 !== undefined && options.sha256 !== sha256)
        throw new CorruptObjectError({ key, expectedSha256: options.sha256, actualSha256: sha256 });
      return await store.put(key, data, { signal: options.signal });
    },
    head: (key, options) =>
      answer(options?.signal, () => {
        const data = objects.get(key);
        return data ? { bytes: data.length, etag: etagOf(data) } : null;
      }),
    list: (prefix, options) => listed(objects, prefix, options?.signal),
    delete: (key, options) =>
      answer(options?.signal, () => {
        objects.delete(key);
      }),
  };
  return store;
}

async function answer<T>(signal: AbortSignal | undefined, work: () => T): Promise<T> {
  await Promise.resolve();
  signal?.throwIfAborted();
  return work();
}

async function* listed(
  objects: ReadonlyMap<string, Buffer>,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ListedObject> {
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix));
  keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  for (const key of keys) {
    const data = await answer(signal, () => objects.get(key));
    if (data) yield { key, bytes: data.length, etag: etagOf(data) };
  }
}

/** As S3 computes it for a single PUT; it names a version of a pointer and protects nothing. */
const etagOf = (data: Uint8Array): string => createHash('md5').update(data).digest('hex');
