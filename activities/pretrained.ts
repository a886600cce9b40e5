import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisedSha256 } from '../contract/keys.ts';
import { ConfigurationError, WeightsError } from '../lib/errors.ts';
import { identifyWeights, shardsBeside } from '../lib/classifier/weight-format.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/**
 * Pretrained weights are an object of the bucket that the study file names by key; the shards of a TensorFlow.js model lie
 * beside its `model.json`. Returns the local file in `dir`, which is theirs alone. Nothing larger than `maxBytes` in all is
 * fetched; `field` is the study file's, for messages.
 * @throws ConfigurationError when there is no such object, WeightsError when it is too large or not what its key says
 */
export async function fetchPretrained(
  store: ObjectStore,
  key: string,
  { dir, maxBytes, field }: { readonly dir: string; readonly maxBytes: number; readonly field: string },
): Promise<string> {
  await mkdir(dir, { recursive: true });
  const file = join(dir, 'weights');
  let left = maxBytes - (await download(store, key, { file, maxBytes, field }));
  for (const name of await shardsBeside(file)) {
    if (name === basename(file)) throw new WeightsError(`${key} names a shard "${name}", a name that is taken`);
    const shard = key.slice(0, key.lastIndexOf('/') + 1) + name;
    left -= await download(store, shard, { file: join(dir, name), maxBytes: left, field });
  }
  const { sha256 } = await identifyWeights(file);
  const promised = promisedSha256(key);
  if (promised !== null && promised !== sha256)
    throw new WeightsError(`${key} was changed after its import: its sha256 is ${sha256}; import the weights again`);
  return file;
}

async function download(
  store: ObjectStore,
  key: string,
  { file, ...options }: { readonly file: string; readonly maxBytes: number; readonly field: string },
): Promise<number> {
  const bytes = await requirePretrained(store, key, options);
  await pipeline(await store.getStream(key), createWriteStream(file));
  return bytes;
}

/**
 * Bytes of the object that `field` of the study file names.
 * @throws ConfigurationError when there is no such object, WeightsError when it is too large
 */
export async function requirePretrained(
  store: ObjectStore,
  key: string,
  { maxBytes, field }: { readonly maxBytes: number; readonly field: string },
): Promise<number> {
  const found = await store.head(key);
  if (found === null)
    throw new ConfigurationError(
      `${field} needs ${key}, which is not in the store; bring it in with: echoforge import-weights FILE`,
    );
  if (found.bytes > maxBytes)
    throw new WeightsError(`${key} has ${found.bytes} bytes, weights of this network at most ${maxBytes}`);
  return found.bytes;
}
