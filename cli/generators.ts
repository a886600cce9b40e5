import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { findSnapshot } from '../activities/find-snapshot.ts';
import { weightsKey } from '../contract/keys.ts';
import { plainTensor, readTensorFile, writeTensorFile, type TensorFile } from '../lib/engine/tensor-file.ts';
import { networkShapeOf, noiseSizes } from '../lib/generator/architecture.ts';
import { fromPublicLayout, toPublicLayout } from '../lib/generator/public-layout.ts';
import { downloadBlob, hashFile } from '../lib/storage/blobs.ts';
import { sharedNoise } from '../lib/synthesis/tool-noise.ts';
import type { Options } from './weights.ts';

/**
 * Stores a generator of the public PyTorch StyleGAN2 as one of our snapshots, under a key that holds its hash; returns the key.
 * @throws WeightsError when the file holds no such generator
 */
export async function importGenerator({ store, file, say }: Options & { readonly file: string }): Promise<string> {
  const { shape, snapshot } = fromPublicLayout(await readTensorFile(file), file);
  return await inTemporaryDir(async (dir) => {
    const converted = join(dir, 'snapshot.safetensors');
    await writePlain(converted, snapshot);
    const { sha256 } = await hashFile(converted);
    const name = basename(file, extname(file)).replace(/[^A-Za-z0-9._-]/g, '_');
    const key = weightsKey(sha256, `${name}.safetensors`);
    await store.putFile(key, converted);
    const { resolution, channels, fmapBase, fmapMax, latentSize, mappingLayers } = shape;
    const sizes = { fmapBase, fmapMax, latentSize, mappingLayers };
    say(`${key}: a generator of ${resolution} px, ${channels} channels, "generator": ${JSON.stringify(sizes)}`);
    say('its stored noise maps were left behind: snapshots hold none');
    return key;
  });
}

/**
 * Writes a snapshot of a study's generator, as PyTorch's public StyleGAN2 loads it or as it is stored.
 * @throws ToolInputError when there is no such snapshot
 */
export async function exportGenerator(
  options: Options & {
    readonly studyId: string;
    readonly className: string;
    /** Null takes the snapshot that synthesis used, else the lowest metric, else the newest. */
    readonly nimg: number | null;
    readonly format: 'torch' | 'safetensors';
    readonly out: string;
  },
): Promise<void> {
  const { store, studyId, className, nimg, format, out, say } = options;
  const { study, snapshot, chosenBy } = await findSnapshot(store, 'export-generator', { studyId, className, nimg });
  if (format === 'safetensors') await downloadBlob(store, snapshot.weights, out);
  else
    await inTemporaryDir(async (dir) => {
      const file = join(dir, 'snapshot.safetensors');
      await downloadBlob(store, snapshot.weights, file);
      const shape = networkShapeOf(study.generator, study.image);
      const noise = sharedNoise('constant', { noiseSizes: noiseSizes(shape), batchSize: 1, seed: study.seed });
      await writePlain(out, toPublicLayout({ shape, snapshot: await readTensorFile(file), noise }));
    });
  say(`${out}: class ${className}, snapshot ${snapshot.nimg} (${chosenBy})`);
  if (format === 'torch') say('its noise maps are those of the tools\' "noise": "constant"');
}

async function writePlain(file: string, { tensors, metadata }: TensorFile): Promise<void> {
  const plain = [...tensors].map(([name, tensor]) => [name, plainTensor(tensor)] as const);
  await writeTensorFile(file, Object.fromEntries(plain), metadata);
}

async function inTemporaryDir<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-generator-'));
  try {
    return await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
