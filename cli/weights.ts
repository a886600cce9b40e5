import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { stepKey, weightsKey } from '../contract/keys.ts';
import type { ClassifierManifest, RefTo } from '../contract/manifests.ts';
import type { ClassifierVariant } from '../contract/names.ts';
import { encodeKerasH5 } from '../lib/classifier/keras-h5.ts';
import { kerasLayerOrder } from '../lib/classifier/keras-order.ts';
import { planNetwork } from '../lib/classifier/shape-layers.ts';
import { storedWeights } from '../lib/classifier/weight-file.ts';
import { identifyWeights, shardsBeside } from '../lib/classifier/weight-format.ts';
import { takeWeights } from '../lib/classifier/weights.ts';
import { readTensorFile } from '../lib/engine/tensor-file.ts';
import { ConfigurationError, NotFoundError } from '../lib/errors.ts';
import { downloadBlob, getManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer } from '../lib/storage/pointer.ts';

export interface Options {
  readonly store: ObjectStore;
  readonly say: (line: string) => void;
}

/**
 * Stores pretrained weights, with the shards of a TensorFlow.js model, under a key that holds their hash; returns the key,
 * which is what `classifier.weights` of a study file takes, or `generator.resumeFrom` for networks of a generator.
 * @throws WeightsError when the file is none of the known forms
 */
export async function importWeights({ store, file, say }: Options & { readonly file: string }): Promise<string> {
  const { format, sha256 } = await identifyWeights(file);
  const key = weightsKey(sha256, basename(file).replace(/[^A-Za-z0-9._-]/g, '_'));
  // The file last: where it is, its shards are.
  for (const shard of await shardsBeside(file))
    await store.putFile(weightsKey(sha256, shard), join(dirname(file), shard));
  await store.putFile(key, file);
  const generator = format === 'safetensors' ? `; of a generator: "generator": {"resumeFrom": "${key}"}` : '';
  say(`${format} weights stored; in the study file: "classifier": {"weights": "${key}"}${generator}`);
  return key;
}

/** Writes a trained classifier of a study as a file that Keras loads, or as it is stored. @throws NotFoundError */
export async function exportWeights(
  options: Options & {
    readonly studyId: string;
    readonly variant: ClassifierVariant;
    readonly format: 'h5' | 'safetensors';
    readonly out: string;
  },
): Promise<void> {
  const { store, studyId, variant, format, out, say } = options;
  const key = stepKey(studyId, `classifier/${variant}`);
  const step = await readPointer<{ manifest: RefTo<ClassifierManifest> }>(store, key);
  if (step === null) throw new NotFoundError(`the classifier "${variant}" of study ${studyId} (${key})`);
  const { weights, config, inputSize, calibration } = await getManifest<ClassifierManifest>(store, step.value.manifest);
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-export-'));
  try {
    const file = join(dir, 'weights.safetensors');
    await downloadBlob(store, weights, file);
    const architecture = { ...config, classes: 2 };
    const { variables } = planNetwork(architecture, inputSize);
    const values = takeWeights(storedWeights((await readTensorFile(file)).tensors), variables, { file });
    if (format === 'safetensors') await downloadBlob(store, weights, out);
    else {
      const listed = variables.map((spec) => ({ ...spec, values: values.get(spec.name) ?? new Float32Array() }));
      await writeFile(`${out}.part`, await encodeKerasH5(kerasLayerOrder(architecture), listed));
      await rename(`${out}.part`, out);
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  const scaling = config.inputScaling === 'symmetric' ? 'x / 127.5 - 1' : 'x / 255';
  say(`${out}: ${inputSize} px RGB scaled to ${scaling}; outputs are logits, negative first`);
  if (calibration.temperature !== 1)
    say(`divide the logits by ${calibration.temperature} for calibrated probabilities`);
}

/** @throws ConfigurationError when `text` is none of `known` */
export function oneOf<T extends string>(text: string, known: readonly T[], option: string): T {
  const found = known.find((word) => word === text);
  if (found === undefined) throw new ConfigurationError(`expected ${option} ${known.join(' or ')}, got "${text}"`);
  return found;
}

/** @throws ConfigurationError when `text` is no whole number from 0 */
export function countOf(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new ConfigurationError(`expected ${option} as a whole number, got "${text}"`);
  return Number(text);
}
