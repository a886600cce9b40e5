import type { Readable } from 'node:stream';

/** The one way to the object store. Implementations: minio.ts, and memory.ts for unit tests; both pass one contract suite. */

export interface CallOptions {
  /** Ends the call at once; it then rejects with the signal's reason. A write may have been applied. */
  readonly signal?: AbortSignal | undefined;
}

export interface PutOptions extends CallOptions {
  /** Write only if nothing is stored under the key. */
  readonly ifNoneMatch?: '*' | undefined;
  /** Write only if what is stored has this etag. */
  readonly ifMatch?: string | undefined;
}

export interface PutFileOptions extends CallOptions {
  /** Checked against the bytes that were sent, before they become visible. */
  readonly sha256?: string | undefined;
}

/** `bytes` is a size. The etag depends on the content and may repeat when the same content comes back. */
export interface ObjectInfo {
  readonly bytes: number;
  readonly etag: string;
}

export interface ListedObject extends ObjectInfo {
  readonly key: string;
}

export interface StoredObject {
  readonly data: Buffer;
  readonly etag: string;
}

/**
 * Every call has a deadline and is retried while the store does not answer; then it throws `StoreUnavailableError`.
 * Reads see every finished write. Keys are built in `contract/keys.ts`.
 */
export interface ObjectStore {
  /** @throws NotFoundError */
  get(key: string, options?: CallOptions): Promise<Buffer>;
  /** With the etag that a conditional write needs. @throws NotFoundError */
  getWithEtag(key: string, options?: CallOptions): Promise<StoredObject>;
  /** For large objects; goes on where it broke off. @throws NotFoundError */
  getStream(key: string, options?: CallOptions): Promise<Readable>;
  /**
   * One atomic write, held in memory. A write whose answer was lost counts as done when the key then holds these very
   * bytes, so a conditional body needs a nonce.
   * @throws ConflictError when the condition does not hold.
   */
  put(key: string, data: Uint8Array, options?: PutOptions): Promise<{ readonly etag: string }>;
  /** For large immutable files; visible all at once at the end. @throws CorruptObjectError when `sha256` differs. */
  putFile(key: string, file: string, options?: PutFileOptions): Promise<{ readonly etag: string }>;
  /** Null when there is no such object. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | null>;
  /** All objects whose key begins with `prefix`, in order of their UTF-8 keys. */
  list(prefix: string, options?: CallOptions): AsyncIterable<ListedObject>;
  /** Fine when there is nothing to delete. */
  delete(key: string, options?: CallOptions): Promise<void>;
}
