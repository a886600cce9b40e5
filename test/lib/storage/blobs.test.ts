import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blobKey } from '../../../contract/keys.ts';
import type { DatasetImport } from '../../../contract/manifests.ts';
import { CorruptObjectError, NotFoundError } from '../../../lib/errors.ts';
import {
  downloadBlob,
  getBlob,
  getManifest,
  hashFile,
  putBlob,
  putBlobFile,
  putManifest,
} from '../../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import type { ObjectStore } from '../../../lib/storage/object-store.ts';

/** FIPS 180-2, appendix B.1: SHA-256 of "abc". */
const abc = { sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', bytes: 3 };

let dir: string;
let store: ObjectStore;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-blobs-'));
  store = createMemoryStore();
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('blobs', () => {
  it('stores bytes and files under the SHA-256 of their content', async () => {
    await writeFile(join(dir, 'abc'), 'abc');
    expect(await putBlob(store, Buffer.from('abc'))).toEqual(abc);
    expect(await hashFile(join(dir, 'abc'))).toEqual(abc);
    expect(await putBlobFile(store, join(dir, 'abc'))).toEqual(abc);
    expect((await store.get(`blobs/sha256/ba/${abc.sha256}`)).toString()).toBe('abc');
  });

  it('sends nothing when the blob is there', async () => {
    await putBlob(store, Buffer.from('abc'));
    const closed: ObjectStore = {
      ...store,
      put: () => Promise.reject(new Error('sent')),
      putFile: () => Promise.reject(new Error('sent')),
    };
    await writeFile(join(dir, 'abc'), 'abc');
    expect(await putBlob(closed, Buffer.from('abc'))).toEqual(abc);
    expect(await putBlobFile(closed, join(dir, 'abc'))).toEqual(abc);
    await expect(putBlob(closed, Buffer.from('new'))).rejects.toThrow('sent');
  });

  it('replaces a blob that has another size', async () => {
    await store.put(blobKey(abc.sha256), Buffer.from('ab'));
    await putBlob(store, Buffer.from('abc'));
    expect((await getBlob(store, abc)).toString()).toBe('abc');
  });

  it('refuses changed bytes, naming both hashes, and leaves no file behind', async () => {
    await store.put(blobKey(abc.sha256), Buffer.from('abd'));
    await expect(getBlob(store, abc)).rejects.toThrow(CorruptObjectError);
    await expect(downloadBlob(store, abc, join(dir, 'out'))).rejects.toThrow(/expected ba7816bf.*got a52d159f/);
    expect(await readdir(dir)).toEqual([]);
  });

  it('downloads into directories that it makes, over an older file', async () => {
    await putBlob(store, Buffer.from('abc'));
    const file = join(dir, 'deep/er/file');
    await downloadBlob(store, abc, file);
    await writeFile(file, 'old');
    await downloadBlob(store, abc, file);
    expect(await readFile(file, 'utf8')).toBe('abc');
    expect(await readdir(join(dir, 'deep/er'))).toEqual(['file']);
  });

  it('refuses to replace what is no plain file', async () => {
    await putBlob(store, Buffer.from('abc'));
    const socket = join(dir, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    await expect(downloadBlob(store, abc, socket)).rejects.toThrow('expected a plain file');
    expect(await readdir(dir)).toEqual(['socket']);
    server.close();
  });

  it('says which key is missing', async () => {
    await expect(getBlob(store, abc)).rejects.toThrow(new NotFoundError(blobKey(abc.sha256)));
    await expect(downloadBlob(store, abc, join(dir, 'out'))).rejects.toThrow(NotFoundError);
  });
});

describe('manifests', () => {
  const manifest: DatasetImport = { kind: 'import', name: 'busi', files: [{ path: 'benign/a.png', blob: abc }] };

  it('are found again by their reference, and equal ones are one object', async () => {
    const ref = await putManifest(store, manifest);
    const reordered: DatasetImport = { files: manifest.files, name: 'busi', kind: 'import' };
    expect(await putManifest(store, reordered)).toEqual(ref);
    expect(await getManifest<DatasetImport>(store, ref)).toEqual(manifest);
    expect(ref.kind).toBe('import');
  });

  it('are refused under a reference of another kind', async () => {
    const ref = await putManifest(store, manifest);
    await expect(getManifest(store, { ...ref, kind: 'dataset' })).rejects.toThrow(
      'expected a manifest of kind dataset, found import',
    );
  });
});
