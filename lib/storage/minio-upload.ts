import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import type { Client } from 'minio';
import { CorruptObjectError, StoreUnavailableError } from '../errors.ts';
import { codeOf, type Call } from './minio-client.ts';
import type { ObjectStore, PutFileOptions } from './object-store.ts';

/** 8 MiB: hashed in about 10 ms, so that a worker's event loop keeps beating. */
const partBytes = 8 * 2 ** 20;
/** S3 allows 10,000 parts. */
const maxParts = 9_000;

interface UploadContext {
  readonly client: Client;
  readonly bucket: string;
  readonly call: Call;
  readonly head: ObjectStore['head'];
}

interface Upload extends PutFileOptions {
  readonly key: string;
  readonly file: string;
}

/**
 * Sends a file in parts under an upload id of its own, so that two attempts never mix, and makes it visible at the end. What
 * a killed attempt leaves is invisible, and the server removes it after a day.
 */
export async function uploadFile(context: UploadContext, upload: Upload): Promise<{ etag: string }> {
  const handle = await open(upload.file);
  try {
    const { size } = await handle.stat();
    return size <= partBytes ? await uploadWhole(context, upload, handle) : await uploadParts(context, upload, handle);
  } finally {
    await handle.close();
  }
}

async function uploadWhole(
  { client, bucket, call }: UploadContext,
  { key, sha256, signal }: Upload,
  handle: FileHandle,
): Promise<{ etag: string }> {
  const body = await handle.readFile();
  verify(key, sha256, createHash('sha256').update(body).digest('hex'));
  return await call(`writing ${key}`, { signal, bytes: body.length }, async () => {
    const { etag } = await client.putObject(bucket, key, body, body.length);
    return { etag };
  });
}

async function uploadParts(context: UploadContext, upload: Upload, handle: FileHandle): Promise<{ etag: string }> {
  const { client, bucket, call } = context;
  const { key, sha256, signal } = upload;
  const { size } = await handle.stat();
  const stepBytes = Math.max(partBytes, Math.ceil(size / maxParts));
  const uploadId = await call(`beginning ${key}`, { signal }, () =>
    client.initiateNewMultipartUpload(bucket, key, { 'content-type': 'application/octet-stream' }),
  );
  try {
    const hash = createHash('sha256');
    const parts: { part: number; etag: string }[] = [];
    for (let offset = 0; offset < size; offset += stepBytes) {
      const body = await readExactly(handle, { offset, length: Math.min(stepBytes, size - offset), file: upload.file });
      hash.update(body);
      const part = parts.length + 1;
      const { etag } = await call(`writing part ${part} of ${key}`, { signal, bytes: body.length }, () =>
        client.uploadPart(
          { bucketName: bucket, objectName: key, uploadID: uploadId, partNumber: part, headers: {} },
          body,
        ),
      );
      parts.push({ part, etag });
    }
    verify(key, sha256, hash.digest('hex'));
    return await complete(context, upload, { uploadId, parts, size });
  } catch (error) {
    // A courtesy to the server's disk, not worth waiting for.
    void client.abortMultipartUpload(bucket, key, uploadId).catch(() => undefined);
    throw error;
  }
}

async function complete(
  { client, bucket, call, head }: UploadContext,
  { key, signal }: Upload,
  { uploadId, parts, size }: { uploadId: string; parts: { part: number; etag: string }[]; size: number },
): Promise<{ etag: string }> {
  const expected = multipartEtag(parts.map(({ etag }) => etag));
  try {
    return await call(`finishing ${key}`, { signal, bytes: size }, async () => {
      const { etag } = await client.completeMultipartUpload(bucket, key, uploadId, parts);
      return { etag };
    });
  } catch (error) {
    if (codeOf(error) !== 'NoSuchUpload') throw error;
    // An earlier attempt whose answer was lost may have finished it.
    const stored = await head(key, { signal });
    if (stored?.bytes === size && stored.etag === expected) return { etag: stored.etag };
    throw new StoreUnavailableError(`finishing ${key}: the store lost the upload; send it again`, { cause: error });
  }
}

/** Etag of an object in parts: MD5 of the parts' MD5s, and their number. */
const multipartEtag = (etags: readonly string[]): string =>
  `${createHash('md5')
    .update(Buffer.from(etags.join(''), 'hex'))
    .digest('hex')}-${etags.length}`;

async function readExactly(
  handle: FileHandle,
  { offset, length, file }: { offset: number; length: number; file: string },
): Promise<Buffer> {
  const body = Buffer.alloc(length);
  const { bytesRead } = await handle.read(body, 0, length, offset);
  if (bytesRead !== length) throw new Error(`${file} became shorter while it was uploaded`);
  return body;
}

function verify(key: string, expected: string | undefined, actual: string): void {
  if (expected !== undefined && expected !== actual)
    throw new CorruptObjectError({ key, expectedSha256: expected, actualSha256: actual });
}
