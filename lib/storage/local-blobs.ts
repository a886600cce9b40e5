import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobRef } from '../../contract/refs.ts';
import { downloadBlob } from './blobs.ts';
import type { CallOptions, ObjectStore } from './object-store.ts';

export interface BlobCache {
  /**
   * The blob as a local file, downloaded when it is not there. Read it, never write it; it may be removed after 30 minutes
   * without a fetch, so link or copy what a longer task needs.
   */
  fetch(store: ObjectStore, ref: BlobRef, options?: CallOptions): Promise<string>;
}

/** Files that were fetched this recently are in use, maybe by another process, and stay whatever the bound says. */
const inUseMs = 30 * 60_000;

/**
 * A directory of downloaded blobs, least recently fetched removed first once they exceed `maxBytes`. Several processes may
 * share it: files appear by rename and are named by their hash.
 */
export function createBlobCache({ dir, maxBytes }: { readonly dir: string; readonly maxBytes: number }): BlobCache {
  const downloads = new Map<string, Promise<string>>();

  const fetchOnce = async (store: ObjectStore, ref: BlobRef, options: CallOptions): Promise<string> => {
    const file = join(dir, ref.sha256);
    if (!(await touch(file, ref.bytes))) {
      await mkdir(dir, { recursive: true });
      await downloadBlob(store, ref, file, options);
      await evict(dir, maxBytes);
    }
    return file;
  };
  return {
    fetch: (store, ref, options = {}) => {
      const running = downloads.get(ref.sha256);
      // One caller's abort must not end another's download.
      if (running && options.signal === undefined) return running;
      const download = fetchOnce(store, ref, options).finally(() => {
        if (downloads.get(ref.sha256) === download) downloads.delete(ref.sha256);
      });
      if (options.signal === undefined) downloads.set(ref.sha256, download);
      return download;
    },
  };
}

/** Marks a cached file as used now; false when it is not there. A file of another size is a leftover and goes. */
async function touch(file: string, bytes: number): Promise<boolean> {
  const found = await stat(file).catch(() => null);
  if (!found) return false;
  if (found.size !== bytes) {
    await rm(file, { force: true });
    return false;
  }
  const now = new Date();
  return await utimes(file, now, now).then(
    () => true,
    () => false, // another process removed it just now
  );
}

async function evict(dir: string, maxBytes: number): Promise<void> {
  const names = await readdir(dir);
  const found = await Promise.all(
    names.map(async (name) => {
      const info = await stat(join(dir, name)).catch(() => null);
      return info ? [{ file: join(dir, name), bytes: info.size, usedMs: info.mtimeMs }] : [];
    }),
  );
  const files = found.flat().sort((a, b) => a.usedMs - b.usedMs);
  let total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const oldest = Date.now() - inUseMs;
  for (const { file, bytes, usedMs } of files) {
    if (total <= maxBytes || usedMs > oldest) return;
    await rm(file, { force: true });
    total -= bytes;
  }
}
