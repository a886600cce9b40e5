import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { EngineContext, EngineEvent, LocalShard } from '../../contract/engine.ts';
import { classSides, type ClassSide } from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import { encodeKerasH5 } from '../../lib/classifier/keras-h5.ts';
import { kerasLayerOrder } from '../../lib/classifier/keras-order.ts';
import { initialValues } from '../../lib/classifier/model.ts';
import { maxWeightFileBytes, planNetwork, type VariableSpec } from '../../lib/classifier/shape-layers.ts';
import { trainClassifier } from '../../lib/classifier/train.ts';
import { storedWeights, withWeightFile } from '../../lib/classifier/weight-file.ts';
import { writeShard } from '../../lib/dataset/shard.ts';
import { readTensorFile } from '../../lib/engine/tensor-file.ts';
import { encodePng } from '../../lib/image/png.ts';
import { simulatePhantom } from '../../lib/phantom/simulate.ts';

/** The published size through every door: a Keras file is loaded, trained a step with frozen parts, exported, read back. */

const inputSize = 96;
const frozen = { freeze: 'nakata', bn: 'frozen', headEpochs: 0 } as const;
const config = { ...defaults.classifier, ...frozen, epochs: 1, batchSize: 2 };
const architecture = { ...config, classes: 2 };
const plan = planNetwork(architecture, inputSize);
const given = (spec: VariableSpec): Float32Array => initialValues(spec, { seed: 7, stream: 'given' });
const isHead = (name: string): boolean => /^(dense_1|predictions)\//.test(name);

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-keras-weights-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function shardOf(side: ClassSide): Promise<LocalShard> {
  const images = [0, 1].map((index) => simulatePhantom({ side, index, seed: 1, resolution: 64 }));
  const members = await Promise.all(
    images.map(async (image, index) => ({
      entry: { member: `${index}.png`, side, source: `${side}/${index}.png`, groupId: null, seed: null },
      png: await encodePng(image),
    })),
  );
  return writeShard({ tarFile: join(dir, `${side}.tar`), indexFile: join(dir, `${side}.jsonl`), members });
}

it('loads a Keras file of all 55.9 million weights, trains a step on it, exports it and reads it back', async () => {
  const order = kerasLayerOrder(architecture);
  const file = join(dir, 'given.h5');
  await writeFile(
    file,
    await encodeKerasH5(
      order,
      plan.variables.map((spec) => ({ ...spec, values: given(spec) })),
    ),
  );

  const events: EngineEvent[] = [];
  const context: EngineContext = {
    settings: { precision: 'fp32', execution: defaults.execution },
    workDir: dir,
    signal: new AbortController().signal,
    emit: (event) => Promise.resolve(void events.push(event)),
  };
  const [negative, positive] = await Promise.all(classSides.map(shardOf));
  const images = { negative: negative ? [negative] : [], positive: positive ? [positive] : [] };
  const output = await trainClassifier(
    {
      ...{ config, inputSize, channels: 1, seed: 1, stream: 'classifier/real', untilEpoch: 1 },
      ...{ train: images, validation: images, pretrainedFile: file, checkpointFile: null, recoveries: [] },
    },
    context,
  );
  expect(output).toMatchObject({ parameters: 55_912_674, pretrained: { format: 'keras-h5', official: null } });
  expect(events.find((event) => event.type === 'notice')).toMatchObject({ level: 'warn' });

  const trained = events.flatMap((event) => (event.type === 'classifierCheckpoint' ? event.weightsFile : []))[0] ?? '';
  const weights = storedWeights((await readTensorFile(trained)).tensors);
  const moved = plan.variables.filter((spec) => {
    const values = weights.get(spec.name)?.read() ?? [];
    return given(spec).some((value, i) => value !== values[i]);
  });
  // Frozen: everything but the last projection, conv_7b and the head.
  const free = [...new Set(moved.map(({ name }) => name.split('/')[0]).filter((layer = '') => !isHead(`${layer}/`)))];
  expect(free).toEqual(['block8_10_conv', 'conv_7b']);

  const listed = plan.variables.map((spec) => ({
    ...spec,
    values: weights.get(spec.name)?.read() ?? new Float32Array(),
  }));
  const exported = join(dir, 'exported.h5');
  await writeFile(exported, await encodeKerasH5(order, listed));
  const differences = await withWeightFile(exported, { maxBytes: maxWeightFileBytes(plan) }, (again) =>
    listed.filter(({ name, values }) => {
      const read = again.get(name)?.read() ?? new Float32Array();
      return !Buffer.from(read.buffer, read.byteOffset, read.byteLength).equals(
        Buffer.from(values.buffer, values.byteOffset, values.byteLength),
      );
    }),
  );
  expect(differences).toEqual([]);
});
