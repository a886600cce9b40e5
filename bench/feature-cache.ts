import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineEvent, LocalShard, TrainClassifierTask } from '../contract/engine.ts';
import { classSides, type PerClass } from '../contract/manifests.ts';
import { defaults } from '../contract/presets.ts';
import type { ClassifierConfig } from '../contract/study.ts';
import { createModel, initialValues } from '../lib/classifier/model.ts';
import { trainClassifier } from '../lib/classifier/train.ts';
import { copyWeights, writeWeights } from '../lib/classifier/weights.ts';
import { writeShard } from '../lib/dataset/shard.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { encodePng } from '../lib/image/png.ts';
import { prepareImage } from '../lib/image/prepare.ts';
import type { ImagesOptions } from './classifier-config.ts';
import { checkShare, describeMachine, requireQuietMachine, watchOthers } from './quiet-machine.ts';

export interface FeatureCacheOptions extends ImagesOptions {
  readonly epochs: number;
  readonly views: number;
  readonly allowBusy?: true;
}

interface Times {
  /** Until the first optimiser step of an epoch may begin: images read, steps recorded, features computed where cached. */
  readonly beforeSeconds: number;
  /** Per epoch, validation and checkpoint included: the mean of all after the first. */
  readonly epochSeconds: number;
}

/** Times the epochs that train the head alone, by the product's own training, with and without the cache of features. */
export async function benchFeatureCache(options: FeatureCacheOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const others = watchOthers();
    const task = await createTask(options, dir);
    const without = await timeHead(task, null, { options, dir });
    const withCache = await timeHead(task, options.views, { options, dir });
    checkShare(others(), options.allowBusy ?? false);
    const speedup = without.epochSeconds / withCache.epochSeconds;
    const report = { machine: describeMachine(), options, without, with: withCache, speedup };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Three quarters of the images of each class train, the others validate. */
async function createTask(options: FeatureCacheOptions, dir: string): Promise<TrainClassifierTask> {
  const { size, batch, width, blocks, epochs } = options;
  const config: ClassifierConfig = {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], batchSize: batch, epochs, headEpochs: epochs, weights: 'weights/bench' },
    ...{ plateauPatience: 0 },
  };
  const shards = async (split: 'train' | 'validation'): Promise<PerClass<LocalShard[]>> => {
    const made = { negative: [] as LocalShard[], positive: [] as LocalShard[] };
    for (const side of classSides) {
      const folder = join(options.images, options[side]);
      const names = (await readdir(folder)).sort().filter((_, i) => (i % 4 === 3) === (split === 'validation'));
      const shape = { resolution: size, channels: 1, fit: 'crop', minSourcePx: 32 } as const;
      const members = await Promise.all(
        names.map(async (member) => ({
          entry: { member, side, source: member, groupId: null, seed: null },
          png: await encodePng(await prepareImage(await readFile(join(folder, member)), shape)),
        })),
      );
      const file = join(dir, `${split}-${side}`);
      made[side].push(await writeShard({ tarFile: `${file}.tar`, indexFile: `${file}.jsonl`, members }));
    }
    return made;
  };
  const model = createModel({ name: 'bench', config, inputSize: size, channels: 1 }, (spec) =>
    initialValues(spec, { seed: 1, stream: 'bench' }),
  );
  const pretrainedFile = join(dir, 'weights.safetensors');
  await writeWeights(pretrainedFile, model, copyWeights(model));
  model.dispose();
  return {
    ...{ config, inputSize: size, channels: 1, seed: 1, stream: 'bench', pretrainedFile, checkpointFile: null },
    recoveries: [],
    ...{ train: await shards('train'), validation: await shards('validation'), untilEpoch: epochs },
  };
}

async function timeHead(
  task: TrainClassifierTask,
  featureCache: number | null,
  { options, dir }: { readonly options: FeatureCacheOptions; readonly dir: string },
): Promise<Times> {
  const { precision, execution } = options;
  const workDir = join(dir, featureCache === null ? 'without' : 'with');
  await mkdir(workDir, { recursive: true });
  const start = performance.now();
  let before = 0;
  const ends: number[] = [];
  const emit = (event: EngineEvent): Promise<void> => {
    const seconds = (performance.now() - start) / 1000;
    if (event.type === 'progress' && event.phase === 'train' && before === 0) before = seconds;
    if (event.type === 'classifierCheckpoint') ends.push(seconds);
    return Promise.resolve();
  };
  const signal = new AbortController().signal;
  const config = { ...task.config, featureCache };
  await trainClassifier({ ...task, config }, { settings: { precision, execution }, workDir, signal, emit });
  const [first = 0, ...rest] = ends;
  return { beforeSeconds: before, epochSeconds: ((rest.at(-1) ?? first) - first) / Math.max(1, rest.length) };
}

function textOf(report: {
  readonly machine: string;
  readonly options: FeatureCacheOptions;
  readonly without: Times;
  readonly with: Times;
  readonly speedup: number;
}): string {
  const row = (label: string, { beforeSeconds, epochSeconds }: Times): string =>
    `${label.padEnd(22)}${beforeSeconds.toFixed(1).padStart(12)}${epochSeconds.toFixed(3).padStart(12)}`;
  return [
    report.machine,
    '',
    `${''.padEnd(22)}${'first step, s'.padStart(12)}${'epoch, s'.padStart(12)}`,
    row('fresh images', report.without),
    row(`${report.options.views} cached view(s)`, report.with),
    `${'speed-up of an epoch'.padEnd(22)}${''.padEnd(12)}${report.speedup.toFixed(1).padStart(12)}`,
    '',
  ].join('\n');
}
