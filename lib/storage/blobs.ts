import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { canonicalJson } from '../../contract/canonical-json.ts';
import { blobKey } from '../../contract/keys.ts';
import type { Manifest, RefTo } from '../../contract/manifests.ts';
import type { BlobRef, ManifestRef } from '../../contract/refs.ts';
import { CorruptObjectError } from '../errors.ts';
import type { CallOptions, ObjectStore } from './object-store.ts';

/** Content-addressed objects: written once, read with their hash checked. */

/** Hash and size of a file, streamed. */
export async function hashFile(file: string): Promise<BlobRef> {
  const hash = createHash('sha256');
  let bytes = 0;
  // A file stream without encoding yields buffers.
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/** Hash and size of bytes in memory. */
export const hashBytes = (data: Uint8Array): BlobRef => ({
  sha256: createHash('sha256').update(data).digest('hex'),
  bytes: data.length,
});

/** Stores bytes under their hash; sends nothing when they are there already. */
export async function putBlob(store: ObjectStore, data: Uint8Array, options: CallOptions = {}): Promise<BlobRef> {
  const ref = hashBytes(data);
  const key = blobKey(ref.sha256);
  if (!(await isThere(store, { key, ref }, options))) await store.put(key, data, options);
  return ref;
}

/** Stores a file under its hash. @throws CorruptObjectError when the file changes meanwhile. */
export async function putBlobFile(store: ObjectStore, file: string, options: CallOptions = {}): Promise<BlobRef> {
  const ref = await hashFile(file);
  await putObjectFile(store, { key: blobKey(ref.sha256), ref, file }, options);
  return ref;
}

/** Stores a file of known hash under a key of its own (e.g. `trainingFileKey`), unless it is there. */
export async function putObjectFile(
  store: ObjectStore,
  { key, ref, file }: StoredFile,
  options: CallOptions = {},
): Promise<void> {
  if (!(await isThere(store, { key, ref }, options)))
    await store.putFile(key, file, { ...options, sha256: ref.sha256 });
}

/** @throws NotFoundError, CorruptObjectError */
export async function getBlob(store: ObjectStore, ref: BlobRef, options: CallOptions = {}): Promise<Buffer> {
  const key = blobKey(ref.sha256);
  const data = await store.get(key, options);
  verify({ key, ref }, hashBytes(data));
  return data;
}

/** Writes a blob to `file`, which appears only when it is whole and right. @throws NotFoundError, CorruptObjectError */
export async function downloadBlob(
  store: ObjectStore,
  ref: BlobRef,
  file: string,
  options: CallOptions = {},
): Promise<void> {
  await downloadObject(store, { key: blobKey(ref.sha256), ref, file }, options);
}

/** As {@link downloadBlob}, from a key of its own. */
export async function downloadObject(
  store: ObjectStore,
  { key, ref, file }: StoredFile,
  options: CallOptions = {},
): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await refuseSpecial(file);
  // Unique, because another process may download the same file.
  const partial = `${file}.${randomBytes(6).toString('hex')}.part`;
  const hash = createHash('sha256');
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  try {
    await pipeline(await store.getStream(key, options), meter, createWriteStream(partial));
    verify({ key, ref }, { sha256: hash.digest('hex'), bytes });
    await rename(partial, file);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Stores a manifest as canonical JSON, so that equal manifests are one object. */
export async function putManifest<M extends Manifest>(store: ObjectStore, manifest: M): Promise<RefTo<M>> {
  const blob = await putBlob(store, Buffer.from(canonicalJson(manifest)));
  const ref: ManifestRef<M['kind']> = { kind: manifest.kind, ...blob };
  return ref;
}

/** @throws NotFoundError, CorruptObjectError; TypeError when the reference names another kind than the manifest. */
export async function getManifest<M extends Manifest>(store: ObjectStore, ref: RefTo<M>): Promise<M> {
  const manifest: unknown = JSON.parse((await getBlob(store, ref)).toString());
  const kind = typeof manifest === 'object' && manifest !== null && 'kind' in manifest ? manifest.kind : null;
  if (kind !== ref.kind) throw new TypeError(`expected a manifest of kind ${ref.kind}, found ${String(kind)}`);
  return manifest as M; // the hash says that putManifest wrote it, from an M of this kind
}

interface StoredFile {
  readonly key: string;
  readonly ref: BlobRef;
  readonly file: string;
}

/** Trusts the size: a key with a hash in it is only ever written whole. */
async function isThere(
  store: ObjectStore,
  { key, ref }: { key: string; ref: BlobRef },
  options: CallOptions,
): Promise<boolean> {
  return (await store.head(key, options))?.bytes === ref.bytes;
}

/** The rename at the end would replace a device or a socket by a plain file. */
async function refuseSpecial(file: string): Promise<void> {
  const present = await lstat(file).catch(() => null);
  if (present && !present.isFile()) throw new TypeError(`expected a plain file or nothing at ${file} to download to`);
}

function verify({ key, ref }: { key: string; ref: BlobRef }, actual: BlobRef): void {
  if (actual.sha256 !== ref.sha256)
    throw new CorruptObjectError({ key, expectedSha256: ref.sha256, actualSha256: actual.sha256 });
}
