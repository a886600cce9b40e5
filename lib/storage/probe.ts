import { randomBytes } from 'node:crypto';
import { ConfigurationError, ConflictError } from '../errors.ts';
import { isRefusal } from './minio-client.ts';
import type { ObjectStore, PutOptions } from './object-store.ts';

/**
 * Tries the conditional writes on which the fencing of trainings rests. Some S3-compatible stores accept and ignore them, and
 * old servers accept If-Match on a missing key.
 * @throws ConfigurationError when the store ignores one of them, cannot be written with these credentials, or does not give
 *   back what was written; StoreUnavailableError when it does not answer.
 */
export async function probeStore(store: ObjectStore): Promise<void> {
  const prefix = `probes/${randomBytes(8).toString('hex')}`;
  const [present, missing] = [`${prefix}/present`, `${prefix}/missing`];
  try {
    const { etag } = await store.put(present, Buffer.from('1'), { ifNoneMatch: '*' });
    await mustRefuse(store, present, { ifNoneMatch: '*' }, 'If-None-Match: * on an object that exists');
    await mustRefuse(store, present, { ifMatch: '0'.repeat(32) }, 'If-Match with an etag that is not current');
    await mustRefuse(store, missing, { ifMatch: etag }, 'If-Match on an object that does not exist');
    await store.put(present, Buffer.from('2'), { ifMatch: etag });
    const data = await store.get(present);
    if (data.toString() !== '2')
      throw new ConfigurationError('the store did not give back what was just written; it cannot hold a study');
  } catch (error) {
    if (isRefusal(error))
      throw new ConfigurationError(`${error.message}; check S3_ENDPOINT, S3_BUCKET and the credentials`, {
        cause: error,
      });
    throw error;
  } finally {
    const signal = AbortSignal.timeout(5_000);
    await Promise.allSettled([store.delete(present, { signal }), store.delete(missing, { signal })]);
  }
}

async function mustRefuse(store: ObjectStore, key: string, condition: PutOptions, what: string): Promise<void> {
  // A body of its own each time: an unequal one can never pass for an earlier write whose answer was lost.
  const body = randomBytes(16);
  try {
    await store.put(key, body, condition);
  } catch (error) {
    if (error instanceof ConflictError) return;
    throw error;
  }
  throw new ConfigurationError(
    `the store accepted ${what}: it ignores conditional writes, so a stalled worker could overwrite a training. ` +
      'Use a store that honours them, for instance MinIO of September 2025 or later',
  );
}
