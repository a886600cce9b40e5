import { canonicalJson } from '../../contract/canonical-json.ts';
import { ConfigurationError, ConflictError, NotFoundError } from '../errors.ts';
import type { CallOptions, ObjectStore } from './object-store.ts';

/**
 * Small JSON that changes, moved by compare-and-swap. What must be fenced against stalled writers is a training head
 * (training-head.ts); the rest (decisions, ledgers, finished steps) is read, changed and written again until nobody was
 * quicker.
 */

export interface Pointer<T> {
  readonly value: T;
  readonly etag: string;
}

const encode = (value: unknown): Buffer => Buffer.from(canonicalJson(value));

/**
 * Null when there is none. The caller knows the type, or gives it a schema.
 * @throws ConfigurationError when the object is no JSON: nothing of ours wrote it.
 */
export async function readPointer<T>(
  store: ObjectStore,
  key: string,
  options: CallOptions = {},
): Promise<Pointer<T> | null> {
  try {
    const { data, etag } = await store.getWithEtag(key, options);
    return { value: parse(key, data) as T, etag }; // each key has one writer type: contract/keys.ts
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

function parse(key: string, data: Buffer): unknown {
  try {
    return JSON.parse(data.toString());
  } catch (error) {
    throw new ConfigurationError(`${key} holds ${data.length} bytes that are no JSON; restore its previous version`, {
      cause: error,
    });
  }
}

/** Creates the pointer unless it is there. True when this call, or an equal one, created it. */
export async function createPointer(store: ObjectStore, key: string, value: unknown): Promise<boolean> {
  try {
    await store.put(key, encode(value), { ifNoneMatch: '*' });
    return true;
  } catch (error) {
    if (error instanceof ConflictError) return false;
    throw error;
  }
}

/** Moves the pointer that `etag` names. @throws ConflictError when somebody moved it since. */
export async function movePointer<T>(
  store: ObjectStore,
  { key, value, etag }: { readonly key: string; readonly value: T; readonly etag: string },
): Promise<Pointer<T>> {
  const written = await store.put(key, encode(value), { ifMatch: etag });
  return { value, etag: written.etag };
}

/**
 * Reads, changes and writes until nobody was quicker. `change` gets null when there is none yet; it may run several times,
 * also on a value that holds its change already (an answer that was lost), so it must not add twice.
 */
export async function updatePointer<T>(store: ObjectStore, key: string, change: (present: T | null) => T): Promise<T> {
  for (;;) {
    const present = await readPointer<T>(store, key);
    const value = change(present?.value ?? null);
    if (present && canonicalJson(present.value) === canonicalJson(value)) return value;
    try {
      await store.put(key, encode(value), present ? { ifMatch: present.etag } : { ifNoneMatch: '*' });
      return value;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
}
