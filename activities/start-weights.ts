import { join } from 'node:path';
import { startWeightsOf } from '../contract/keys.ts';
import type { StartWeights } from '../contract/manifests.ts';
import type { BlobRef } from '../contract/refs.ts';
import type { Study } from '../contract/study.ts';
import { readTensorShapes } from '../lib/engine/tensor-header.ts';
import { ConfigurationError, WeightsError } from '../lib/errors.ts';
import { networkShapeOf } from '../lib/generator/architecture.ts';
import { planStart } from '../lib/generator/start-plan.ts';
import { downloadObject } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/** Weights that generators start from (`generator.resumeFrom`): an object of the bucket, named with its hash. */

/** More than any checkpoint of networks that the schema admits: at 1024 px with 512 maps throughout it has 0.96 GB. */
const maxBytes = 2 ** 30;

interface FoundStart {
  readonly key: string;
  readonly ref: BlobRef;
  readonly start: StartWeights;
}

/**
 * Looks at the names and shapes of the weights that a study's generators start from; null when they start from random ones.
 * @throws ConfigurationError when there is no such object, WeightsError when it does not hold the study's networks
 */
export async function requireStart(
  store: ObjectStore,
  { generator, image }: Pick<Study, 'generator' | 'image'>,
): Promise<FoundStart | null> {
  const { resumeFrom = null, freezeD = 0 } = generator;
  const named = resumeFrom === null ? null : startWeightsOf(resumeFrom); // the schema takes no other name
  if (named === null) return null;
  const { key, sha256 } = named;
  const found = await store.head(key);
  if (found === null)
    throw new ConfigurationError(
      `generator.resumeFrom needs ${key}, which is not in the store; echoforge checkpoints STUDY lists what a study has, echoforge import-weights FILE brings a file in`,
    );
  const { bytes } = found;
  if (bytes > maxBytes)
    throw new WeightsError(
      `generator.resumeFrom: ${key} has ${bytes} bytes, a training of any size at most ${maxBytes}`,
    );
  const file = `generator.resumeFrom (${key})`;
  const shapes = await readTensorShapes(await store.getStream(key), { file, size: bytes });
  const { discriminator } = planStart(shapes, { shape: networkShapeOf(generator, image), freezeD, file });
  return { key, ref: { sha256, bytes }, start: { sha256, discriminator } };
}

/** Downloads them, their hash checked, to a file of `workDir`. @throws as {@link requireStart}, CorruptObjectError */
export async function fetchStart(
  store: ObjectStore,
  study: Pick<Study, 'generator' | 'image'>,
  workDir: string,
): Promise<{ readonly file: string; readonly start: StartWeights } | null> {
  const found = await requireStart(store, study);
  if (found === null) return null;
  const file = join(workDir, 'start.safetensors');
  await downloadObject(store, { key: found.key, ref: found.ref, file });
  return { file, start: found.start };
}
