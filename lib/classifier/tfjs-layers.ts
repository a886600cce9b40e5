import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { WeightsError } from '../errors.ts';
import { creationNames, kerasName, type StoredWeight } from './keras-names.ts';

/**
 * Weights of a TensorFlow.js layers model: `model.json`, of which only the manifest of weights is read (its topology cannot
 * be loaded in general, evaluation.md 1.5), and binary shards beside it.
 */

const manifestSchema = z.array(
  z.object({
    paths: z.array(z.string()).max(10_000),
    weights: z
      .array(
        z.object({
          name: z.string(),
          shape: z.array(z.int().min(0)).max(8),
          dtype: z.string(),
          quantization: z.unknown().optional(),
        }),
      )
      .max(10_000),
  }),
);
export type TfjsManifest = Readonly<z.output<typeof manifestSchema>>;

/** Larger ones are no list of weights: InceptionResNetV2 with its topology needs 0.6 MB. */
export const maxManifestBytes = 32 * 2 ** 20;

/** The manifest in the text of `model.json` or `weights_manifest.json`. @throws WeightsError */
export function parseTfjsManifest(text: string, file: string): TfjsManifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new WeightsError(`${file} is neither a weight file nor JSON`, { cause: error });
  }
  const manifest = typeof json === 'object' && json !== null && 'weightsManifest' in json ? json.weightsManifest : json;
  const parsed = manifestSchema.safeParse(manifest);
  if (!parsed.success)
    throw new WeightsError(
      `${file} has no weightsManifest of TensorFlow.js: ${parsed.error.issues[0]?.message ?? ''} at ${parsed.error.issues[0]?.path.join('.') ?? ''}`,
    );
  for (const name of shardsOf(parsed.data))
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/.test(name))
      throw new WeightsError(`${file} names the shard "${name}"; expected plain names of files beside it`);
  return parsed.data;
}

/** Names of all shards, in order. */
export const shardsOf = (manifest: TfjsManifest): string[] => manifest.flatMap(({ paths }) => paths);

/** Weights by creation name. Shards are read here, at most `maxBytes` of them. */
export async function readTfjsWeights(
  file: string,
  { maxBytes }: { readonly maxBytes: number },
): Promise<Map<string, StoredWeight>> {
  const manifest = parseTfjsManifest(await readFile(file, 'utf8'), file);
  const weights = new Map<string, StoredWeight>();
  let total = 0;
  for (const { paths, weights: specs } of manifest) {
    const shards = paths.map((name) => path.join(path.dirname(file), name));
    for (const shard of shards)
      total += await stat(shard).then(
        ({ size }) => size,
        (error: unknown) => {
          throw new WeightsError(`${file} names the shard ${path.basename(shard)}, which is not there`, {
            cause: error,
          });
        },
      );
    if (total > maxBytes) throw new WeightsError(`the shards of ${file} are larger than this network: ${total} bytes`);
    addGroup(weights, { specs, bytes: Buffer.concat(await Promise.all(shards.map((shard) => readFile(shard)))), file });
  }
  return creationNames(weights, file);
}

function addGroup(
  weights: Map<string, StoredWeight>,
  group: { readonly specs: TfjsManifest[number]['weights']; readonly bytes: Buffer; readonly file: string },
): void {
  const { specs, bytes, file } = group;
  let offset = 0;
  for (const { name, shape, dtype, quantization } of specs) {
    if (quantization !== undefined)
      throw new WeightsError(`${name} in ${file} is quantised; convert the model without quantisation`);
    const length = 4 * shape.reduce((size, side) => size * side, 1);
    const begin = offset;
    offset += length;
    if (offset > bytes.length)
      throw new WeightsError(`the shards of ${file} are truncated: ${name} ends at byte ${offset} of ${bytes.length}`);
    const own = kerasName(name, name);
    if (weights.has(own)) throw new WeightsError(`${file} holds ${own} twice`);
    const read = (): Float32Array => new Float32Array(new Uint8Array(bytes.subarray(begin, begin + length)).buffer); // aligned copy
    weights.set(own, { shape, dtype, read });
  }
  if (offset !== bytes.length)
    throw new WeightsError(`the shards of ${file} hold ${bytes.length} bytes, its weights ${offset}`);
}
