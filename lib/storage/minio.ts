import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import { ConflictError, NotFoundError } from '../errors.ts';
import {
  codeOf,
  connectMinio,
  isMissing,
  refusalOf,
  type Call,
  type MinioConnection,
  type MinioOptions,
} from './minio-client.ts';
import { uploadFile } from './minio-upload.ts';
import type { CallOptions, ListedObject, ObjectStore, PutOptions } from './object-store.ts';
import { withDeadline, withRetries, type RetryPolicy } from './retry.ts';

/** Two minutes cover a restart of the store; a longer outage is for the caller's own retries. */
const defaultPolicy: RetryPolicy = { callTimeoutMs: 15_000, retryForMs: 120_000 };
/** The slowest line worth waiting for: a body adds its bytes / this to the deadline. */
const bytesPerMs = 1_000;

export interface MinioStoreOptions extends MinioOptions {
  readonly retry?: RetryPolicy;
}

/** @throws ConfigurationError when the endpoint is malformed. Nothing is sent before the first call. */
export function openMinioStore(options: MinioStoreOptions): ObjectStore {
  const connection = connectMinio(options);
  const { bucket } = options;
  const policy = options.retry ?? defaultPolicy;

  const call: Call = (what, { signal, bytes = 0 }, attempt) =>
    withRetries(
      what,
      {
        policy: { ...policy, callTimeoutMs: policy.callTimeoutMs + bytes / bytesPerMs },
        judge: (error) => (isFinal(error) ? 'final' : 'retry'),
        signal,
      },
      (inner, number) => connection.run(inner, () => attempt(number)),
    ).catch((error: unknown) => {
      throw refusalOf(error, what) ?? error;
    });

  const head: ObjectStore['head'] = (key, callOptions = {}) =>
    call(`looking for ${key}`, callOptions, async () => {
      try {
        const { size, etag } = await connection.client.statObject(bucket, key);
        return { bytes: size, etag };
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    });

  const open = (key: string, callOptions: CallOptions): Promise<DownloadReader> =>
    openDownload({ connection, bucket, key, policy, call, callOptions });

  const getWithEtag: ObjectStore['getWithEtag'] = async (key, callOptions = {}) => {
    const download = await open(key, callOptions);
    const chunks: Buffer[] = [];
    for await (const chunk of download.chunks) chunks.push(chunk);
    return { data: Buffer.concat(chunks), etag: download.etag };
  };

  return {
    get: async (key, callOptions) => (await getWithEtag(key, callOptions)).data,
    getWithEtag,
    head,
    getStream: async (key, callOptions = {}) => Readable.from((await open(key, callOptions)).chunks),
    put: (key, data, putOptions = {}) => putObject({ connection, bucket, call, getWithEtag }, key, data, putOptions),
    putFile: (key, file, putOptions = {}) =>
      uploadFile({ client: connection.client, bucket, call, head }, { key, file, ...putOptions }),
    list: (prefix, callOptions = {}) => listObjects({ connection, bucket, call }, prefix, callOptions),
    delete: (key, callOptions = {}) =>
      call(`deleting ${key}`, callOptions, () => connection.client.removeObject(bucket, key)),
  };
}

/** Answers that another attempt would only repeat. What is no answer at all (sockets, deadlines, 5xx) is retried. */
function isFinal(error: unknown): boolean {
  if (error instanceof ConflictError || error instanceof NotFoundError) return true;
  if (error instanceof Error && /^(Invalid(Argument|ObjectName|BucketName)Error|TypeError)$/.test(error.name))
    return true;
  return isMissing(error) || codeOf(error) === 'PreconditionFailed' || refusalOf(error, '') !== null;
}

type PutContext = { connection: MinioConnection; bucket: string; call: Call; getWithEtag: ObjectStore['getWithEtag'] };

async function putObject(
  { connection, bucket, call, getWithEtag }: PutContext,
  key: string,
  data: Uint8Array,
  { ifNoneMatch, ifMatch, signal }: PutOptions,
): Promise<{ etag: string }> {
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const conditions = {
    ...(ifNoneMatch !== undefined && { 'If-None-Match': ifNoneMatch }),
    ...(ifMatch !== undefined && { 'If-Match': `"${ifMatch}"` }),
  };
  const conditional = ifNoneMatch !== undefined || ifMatch !== undefined;
  let attempts = 0;
  try {
    return await call(`writing ${key}`, { signal, bytes: body.length }, async (number) => {
      attempts = number + 1;
      const { etag } = await connection.client.putObject(bucket, key, body, body.length, { ...conditions });
      return { etag };
    });
  } catch (error) {
    const lost = codeOf(error) === 'PreconditionFailed' || (isMissing(error) && ifMatch !== undefined);
    if (!conditional || !lost) throw error;
    // An earlier attempt whose answer was lost may be what moved the object.
    if (attempts > 1) {
      const stored = await getWithEtag(key, { signal }).catch((readError: unknown) => {
        if (readError instanceof NotFoundError) return null;
        throw readError;
      });
      if (stored?.data.equals(body)) return { etag: stored.etag };
    }
    throw new ConflictError(key, { cause: error });
  }
}

/** A response of the store, as far as it is used. */
type Response = Readable & { readonly headers: IncomingHttpHeaders };

/** minio-js hands out the response itself, typed as a plain stream. */
function asResponse(stream: Readable): Response {
  if ('headers' in stream) return stream as Response;
  throw new TypeError('expected an HTTP response from the store client, found a bare stream');
}

interface DownloadReader {
  readonly etag: string;
  readonly chunks: AsyncGenerator<Buffer>;
}

interface Download {
  readonly connection: MinioConnection;
  readonly bucket: string;
  readonly key: string;
  readonly policy: RetryPolicy;
  readonly call: Call;
  readonly callOptions: CallOptions;
}

/** Opens the object before it answers, so that a missing one is noticed here. */
async function openDownload(download: Download): Promise<DownloadReader> {
  const { connection, bucket, key, call, callOptions } = download;
  const request = (offset: number): Promise<Response> =>
    call(`reading ${key}`, callOptions, async () => {
      try {
        return asResponse(await connection.client.getPartialObject(bucket, key, offset));
      } catch (error) {
        if (isMissing(error)) throw new NotFoundError(key, { cause: error });
        throw error;
      }
    });
  const first = await request(0);
  const etag = etagOf(first);
  return { etag, chunks: readOn({ download, first, etag, request }) };
}

/** Chunks of `first`, then, when the line breaks, of further requests from where it broke. */
async function* readOn({
  download: { key, policy, callOptions },
  first,
  etag,
  request,
}: {
  readonly download: Download;
  readonly first: Response;
  readonly etag: string;
  readonly request: (offset: number) => Promise<Response>;
}): AsyncGenerator<Buffer> {
  const total = Number(first.headers['content-length']);
  let response = first;
  let offset = 0;
  let failures = 0;
  try {
    while (offset < total) {
      try {
        // Chunks of a response without encoding are buffers.
        const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
        while (offset < total) {
          const next = await withDeadline(policy.callTimeoutMs, callOptions.signal, () => chunks.next());
          if (next.done) throw new Error(`${key} ended after ${offset} of ${total} bytes`);
          offset += next.value.length;
          failures = 0;
          yield next.value;
        }
      } catch (error) {
        callOptions.signal?.throwIfAborted();
        // Ten breaks in a row without one byte between them are no accident.
        if (++failures > 10) throw error;
        response.destroy();
        response = await request(offset);
        if (etagOf(response) !== etag) throw new ConflictError(key, { cause: error });
      }
    }
  } finally {
    response.destroy();
  }
}

const etagOf = (response: Response): string => (response.headers.etag ?? '').replaceAll('"', '');

async function* listObjects(
  { connection, bucket, call }: { connection: MinioConnection; bucket: string; call: Call },
  prefix: string,
  options: CallOptions,
): AsyncGenerator<ListedObject> {
  let token = '';
  for (;;) {
    const page = await call(`listing ${prefix}`, options, () =>
      connection.client.listObjectsV2Query(bucket, prefix, token, '', 1000, ''),
    );
    for (const object of page.objects)
      if (object.name !== undefined) yield { key: object.name, bytes: object.size, etag: object.etag };
    if (!page.isTruncated) return;
    token = page.nextContinuationToken;
  }
}
