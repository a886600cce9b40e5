import { AsyncLocalStorage } from 'node:async_hooks';
import http from 'node:http';
import https from 'node:https';
import { Client } from 'minio';
import { ConfigurationError, StoreUnavailableError } from '../errors.ts';
import type { CallOptions } from './object-store.ts';

/** What minio-js 8 lacks: calls that can be given up, one place for its errors, and no retries of its own. */

export interface MinioOptions {
  /** e.g. `http://127.0.0.1:9000`; https asks for TLS. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

export interface MinioConnection {
  readonly client: Client;
  /** Runs a call of the client; aborting `signal` closes its socket. */
  readonly run: <T>(signal: AbortSignal, call: () => Promise<T>) => Promise<T>;
}

/** One call with deadline and retries. `bytes`: size of the body that it sends. */
export type Call = <T>(
  what: string,
  options: CallOptions & { readonly bytes?: number },
  attempt: (number: number) => Promise<T>,
) => Promise<T>;

/** @throws ConfigurationError when the endpoint is not an http or https URL. */
export function connectMinio(options: MinioOptions): MinioConnection {
  const url = URL.canParse(options.endpoint) ? new URL(options.endpoint) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/')
    throw new ConfigurationError(
      `the store's endpoint must be a URL such as http://127.0.0.1:9000, got ${options.endpoint}`,
    );
  const tls = url.protocol === 'https:';
  const current = new AsyncLocalStorage<AbortSignal>();
  const client = new Client({
    endPoint: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? (tls ? 443 : 80) : Number(url.port),
    useSSL: tls,
    region: options.region,
    accessKey: options.accessKey,
    secretKey: options.secretKey,
    // Never multipart by itself: its conditional headers would be lost, and it may resume a stranger's upload.
    partSize: 5 * 2 ** 30,
    retryOptions: { disableRetry: true },
    transport: abortableTransport(tls ? https : http, current),
    transportAgent: tls ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true }),
  });
  return { client, run: (signal, call) => current.run(signal, call) };
}

type Transport = Pick<typeof http, 'request'>;

function abortableTransport(transport: Transport, current: AsyncLocalStorage<AbortSignal>): Transport {
  const request = (
    options: http.RequestOptions,
    onResponse?: (response: http.IncomingMessage) => void,
  ): http.ClientRequest => {
    const signal = current.getStore();
    const sent = transport.request({ ...options, ...(signal && { signal }) }, onResponse);
    // A socket may fail after the call has settled; without a listener that would end the process.
    sent.on('error', () => undefined);
    return sent;
  };
  // minio-js calls request(options, callback) only, not the overload that takes a URL.
  return { request: request as Transport['request'] };
}

/** The S3 error code, or null for everything that is not an answer of the store. */
export function codeOf(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== 'S3Error' || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

export const isMissing = (error: unknown): boolean =>
  ['NoSuchKey', 'NotFound', 'NoSuchVersion'].includes(codeOf(error) ?? '');

/** A person must change something: more attempts of this process only take time. */
const refusals: Readonly<Record<string, string>> = {
  AccessDenied: 'the credentials do not allow this',
  InvalidAccessKeyId: 'the access key is unknown',
  SignatureDoesNotMatch: 'the secret key is wrong',
  NoSuchBucket: 'the bucket does not exist',
  RequestTimeTooSkewed: 'the clocks of this machine and the store differ too much',
  XMinioStorageFull: 'the disk of the store is full',
};

/** In words, when the store refused for a reason that only a person can mend; otherwise null. */
export function refusalOf(error: unknown, what: string): StoreUnavailableError | null {
  const words = refusals[codeOf(error) ?? ''];
  return words === undefined ? null : new StoreUnavailableError(`${what}: ${words}`, { cause: error });
}

/** True when the store did answer, but a person must change something before it can serve. */
export const isRefusal = (error: unknown): error is StoreUnavailableError =>
  error instanceof StoreUnavailableError && (codeOf(error.cause) ?? '') in refusals;
