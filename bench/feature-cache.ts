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
import { figuresOf } from './figures.ts';
import { checkShare, describeMachine, requireQuietMachine, watchOthers } from './quiet-machine.ts';

export interface FeatureCacheOptions extends ImagesOptions {
  readonly epochs: number;
  readonly views: number;
  /** All but the head, or as the reference recipe does, with the normalisation frozen. */
  readonly freeze: 'trunk' | 'nakata';
  readonly allowBusy?: true;
}

interface Times {
  /** Until the first optimiser step of an epoch may begin: images read, steps recorded, features computed where cached. */
  readonly beforeSeconds: number;
  /** Per epoch, validation and checkpoint included: the mean of all after the first. */
  readonly epochSeconds: number;
  /** From one optimiser step to the next of the same epoch, its inputs included: the median. Needs two steps per epoch. */
  readonly stepSeconds: number;
}

/** Times the epochs on frozen layers, by the product's own training, with and without the cache of features. */
export async function benchFeatureCache(options: FeatureCacheOptions): Promise<void> {
  await requireQuietMachine(options.allowBusy ?? false);
  await loadEngine();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const others = watchOthers();
    const task = await createTask(options, dir);
    const without = await timeEpochs(task, null, { options, dir });
    const withCache = await timeEpochs(task, options.views, { options, dir });
    checkShare(others(), options.allowBusy ?? false);
    const speedup = without.epochSeconds / withCache.epochSeconds;
    const stepSpeedup = without.stepSeconds / withCache.stepSeconds;
    const report = { machine: describeMachine(), options, without, with: withCache, speedup, stepSpeedup };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : textOf(report));
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** Three quarters of the images of each class train, the others validate. */
async function createTask(options: FeatureCacheOptions, dir: string): Promise<TrainClassifierTask> {
  const { size, batch, width, blocks, epochs, freeze } = options;
  const config: ClassifierConfig = {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], batchSize: batch, epochs, weights: 'weights/bench' },
    ...(freeze === 'trunk' ? { headEpochs: epochs } : { headEpochs: 0, freeze, bn: 'frozen' }),
    ...{ plateauPatience: 0, earlyStoppingPatience: 0 },
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

async function timeEpochs(
  task: TrainClassifierTask,
  featureCache: number | null,
  { options, dir }: { readonly options: FeatureCacheOptions; readonly dir: string },
): Promise<Times> {
  const { precision, execution } = options;
  const workDir = join(dir, featureCache === null ? 'without' : 'with');
  await mkdir(workDir, { recursive: true });
  const start = performance.now();
  let before = 0;
  let last: number | null = null;
  const steps: number[] = [];
  const ends: number[] = [];
  const emit = (event: EngineEvent): Promise<void> => {
    const seconds = (performance.now() - start) / 1000;
    const trained = event.type === 'progress' && event.phase === 'train';
    if (trained && before === 0) before = seconds;
    if (trained && last !== null) steps.push(seconds - last);
    last = trained ? seconds : null;
    if (event.type === 'classifierCheckpoint') ends.push(seconds);
    return Promise.resolve();
  };
  const signal = new AbortController().signal;
  const config = { ...task.config, featureCache };
  await trainClassifier({ ...task, config }, { settings: { precision, execution }, workDir, signal, emit });
  const [first = 0, ...rest] = ends;
  const epochSeconds = ((rest.at(-1) ?? first) - first) / Math.max(1, rest.length);
  return { beforeSeconds: before, epochSeconds, stepSeconds: figuresOf(steps).median };
}

const cell = (text: string): string => text.padStart(15);

function textOf(report: {
  readonly machine: string;
  readonly options: FeatureCacheOptions;
  readonly without: Times;
  readonly with: Times;
  readonly speedup: number;
  readonly stepSpeedup: number;
}): string {
  const row = (label: string, { beforeSeconds, epochSeconds, stepSeconds }: Times): string =>
    [label.padEnd(22), ...[beforeSeconds.toFixed(1), epochSeconds.toFixed(3), stepSeconds.toFixed(4)].map(cell)].join(
      '',
    );
  return [
    report.machine,
    '',
    [''.padEnd(22), ...['first step, s', 'epoch, s', 'step, s'].map(cell)].join(''),
    row('fresh images', report.without),
    row(`${report.options.views} cached view(s)`, report.with),
    ['speed-up'.padEnd(22), ...['', report.speedup.toFixed(1), report.stepSpeedup.toFixed(1)].map(cell)].join(''),
    '',
  ].join('\n');
}
