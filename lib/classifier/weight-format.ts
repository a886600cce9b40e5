import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type { PretrainedWeights } from '../../contract/manifests.ts';
import { WeightsError } from '../errors.ts';
import { maxManifestBytes, parseTfjsManifest, shardsOf } from './tfjs-layers.ts';

const hdf5Signature = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');

/** Form of a weight file, told by its first bytes. @throws WeightsError */
export async function weightFormat(file: string): Promise<PretrainedWeights['format']> {
  const start = Buffer.alloc(64);
  const handle = await open(file, 'r');
  try {
    await handle.read(start, 0, start.length, 0);
  } finally {
    await handle.close();
  }
  if (start.subarray(0, 8).equals(hdf5Signature)) return 'keras-h5';
  if (start[8] === '{'.charCodeAt(0)) return 'safetensors'; // behind the length of its header
  if (/^\s*[[{]/.test(start.toString('latin1'))) return 'tfjs-layers';
  const hint = start.toString('latin1', 0, 2) === 'PK' ? ', but a zip archive (.keras or .npz)' : '';
  throw new WeightsError(
    `${file} is no weight file${hint}; expected a Keras .h5, a TensorFlow.js model.json, or safetensors`,
  );
}

/** Names of the shards beside a `model.json`; none for other forms. @throws WeightsError */
export async function shardsBeside(file: string): Promise<string[]> {
  if ((await weightFormat(file)) !== 'tfjs-layers') return [];
  const { size } = await stat(file);
  if (size > maxManifestBytes) throw new WeightsError(`${file} has ${size} bytes, too many for a model.json`);
  return shardsOf(parseTfjsManifest(await readFile(file, 'utf8'), file));
}

/**
 * Form and hashes of weights. `sha256` is that of the file, or of the list of hashes of `model.json` and its shards; `md5`,
 * by which Keras knows its files, is that of the file.
 */
export async function identifyWeights(
  file: string,
): Promise<{ readonly format: PretrainedWeights['format']; readonly sha256: string; readonly md5: string }> {
  const format = await weightFormat(file);
  const { sha256, md5 } = await hashes(file);
  if (format !== 'tfjs-layers') return { format, sha256, md5 };
  const all = [sha256];
  for (const shard of await shardsBeside(file)) {
    const { sha256: own } = await hashes(path.join(path.dirname(file), shard)).catch((error: unknown) => {
      throw new WeightsError(`${file} names the shard ${shard}, which is not there`, { cause: error });
    });
    all.push(own);
  }
  return { format, sha256: createHash('sha256').update(canonicalJson(all)).digest('hex'), md5 };
}

async function hashes(file: string): Promise<{ sha256: string; md5: string }> {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  // A file stream without encoding yields buffers.
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
    sha256.update(chunk);
    md5.update(chunk);
  }
  return { sha256: sha256.digest('hex'), md5: md5.digest('hex') };
}
