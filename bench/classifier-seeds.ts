import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EngineEvent, TrainClassifierTask } from '../contract/engine.ts';
import { classSides, type PerClass } from '../contract/manifests.ts';
import { defaults } from '../contract/presets.ts';
import type { ClassifierConfig } from '../contract/study.ts';
import { trainClassifier } from '../lib/classifier/train.ts';
import { ingestImages, type SourceImage } from '../lib/dataset/ingest.ts';
import { groupNearDuplicates } from '../lib/dataset/near-duplicates.ts';
import { splitGroups } from '../lib/dataset/split.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { writePhantomDataset } from '../lib/phantom/dataset.ts';
import type { ImagesOptions } from './classifier-config.ts';
import { describeMachine } from './quiet-machine.ts';

export interface ClassifierSeedsOptions extends ImagesOptions {
  readonly epochs: number;
  readonly seeds: number;
  readonly phantoms: number;
}

interface Trained {
  /** On the validation images, of the epoch whose weights were kept. */
  readonly auc: number;
  readonly keptEpoch: number;
  readonly epochs: number;
  readonly seconds: number;
  readonly weightsFile: string;
}

interface Arm {
  readonly name: string;
  readonly trainings: readonly Trained[];
}

type Sets = Pick<TrainClassifierTask, 'train' | 'validation'>;

/**
 * Validation AUC of the `sound` recipe over seeds: from random weights, from a trunk trained on simulated images, and with that
 * trunk frozen, with and without cached features. Images are split as a study splits them, groups of near duplicates
 * together; the test part is set aside and never read.
 */
export async function benchClassifierSeeds(options: ClassifierSeedsOptions): Promise<void> {
  await loadEngine();
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const sets = await prepare(options, options.images, join(dir, 'real'));
    const pretrainedFile = await pretrain(options, dir);
    const config = configOf(options);
    const tuned = { ...config, weights: 'weights/phantoms', fineTuneLayers: 'all' } as const;
    const head = { ...tuned, headEpochs: options.epochs };
    const arms: Arm[] = [];
    for (const [name, change] of [
      ['from random weights', config],
      ['pretrained on phantoms, all layers', tuned],
      ['pretrained on phantoms, head alone', head],
      ['pretrained on phantoms, head alone, 2 cached views', { ...head, featureCache: 2 }],
    ] as const) {
      const trainings: Trained[] = [];
      for (let seed = 1; seed <= options.seeds; seed++) {
        const file = change.weights === null ? null : pretrainedFile;
        trainings.push(await train(options, { config: change, sets, seed, pretrainedFile: file, dir }));
      }
      arms.push({ name, trainings });
      process.stderr.write(`${describe(arms.at(-1))}\n`);
    }
    const report = { machine: describeMachine(), options, counts: await countsOf(sets), arms };
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : `${arms.map(describe).join('\n')}\n`);
  } finally {
    await rm(dir, { recursive: true });
  }
}

function configOf({ batch, width, blocks, epochs }: ClassifierSeedsOptions): ClassifierConfig {
  return {
    ...defaults.classifier,
    ...{ width, blocks: [...blocks], headUnits: 128, batchSize: batch, epochs, bnMomentum: 0.9, featureCache: null },
  };
}

async function prepare(options: ClassifierSeedsOptions, folder: string, dir: string): Promise<Sets> {
  const image = { resolution: options.size, channels: 1, fit: 'crop' } as const;
  const sources: SourceImage[] = [];
  for (const side of classSides)
    for (const name of (await readdir(join(folder, options[side]))).sort())
      sources.push({
        path: `${options[side]}/${name}`,
        side,
        bytes: () => readFile(join(folder, options[side], name)),
      });
  await mkdir(dir, { recursive: true });
  const ingest = (chosen: readonly SourceImage[], name: string) =>
    ingestImages({
      ...{ tarFile: join(dir, `${name}.tar`), indexFile: join(dir, `${name}.jsonl`) },
      ...{ sources: chosen, image, minSourcePx: defaults.prepare.minSourcePx },
    });
  const { signatures } = await ingest(sources, 'all');
  const { nearDuplicateNcc, hashDistance, crossClass } = defaults.prepare;
  const groups = await groupNearDuplicates(signatures, { ncc: nearDuplicateNcc, hashDistance });
  const groupOf = new Map(
    groups.flatMap(({ groupId, sources: own }) => own.map((source) => [source, groupId] as const)),
  );
  const { assignment } = splitGroups({
    images: signatures.map(({ source, side }) => ({ source, side, groupId: groupOf.get(source) ?? source })),
    ...{ split: defaults.split, crossClass, minImagesPerClass: 20, seed: 1 },
    classes: { negative: options.negative, positive: options.positive },
  });
  const shardsOf = async (split: 'train' | 'validation'): Promise<Sets['train']> => {
    const of = async (side: keyof PerClass<unknown>) => {
      const own = sources.filter((source) => source.side === side && assignment.get(source.path) === split);
      return [(await ingest(own, `${split}-${side}`)).shard];
    };
    return { negative: await of('negative'), positive: await of('positive') };
  };
  return { train: await shardsOf('train'), validation: await shardsOf('validation') };
}

/** Weights of the same network after twelve epochs on simulated images. */
async function pretrain(options: ClassifierSeedsOptions, dir: string): Promise<string> {
  const { negative, positive, phantoms } = options;
  const images = join(dir, 'phantoms');
  const classes = { negative, positive };
  // Reduced to the input's side, as real images are.
  await writePhantomDataset({ dir: images, classes, imagesPerClass: phantoms, seed: 1, resolution: 128 });
  const sets = await prepare(options, images, join(dir, 'simulated'));
  const config = { ...configOf(options), epochs: 12 };
  const { weightsFile, auc } = await train(options, { config, sets, seed: 1, pretrainedFile: null, dir });
  process.stderr.write(`pretrained on phantoms: validation AUC ${auc.toFixed(3)} on phantoms\n`);
  const kept = join(dir, 'phantoms.safetensors');
  await cp(weightsFile, kept);
  return kept;
}

async function train(
  { size, precision, execution }: ClassifierSeedsOptions,
  given: {
    readonly config: ClassifierConfig;
    readonly sets: Sets;
    readonly seed: number;
    readonly pretrainedFile: string | null;
    readonly dir: string;
  },
): Promise<Trained> {
  const { config, sets, seed, pretrainedFile } = given;
  const workDir = await mkdtemp(join(given.dir, 'training-'));
  const task: TrainClassifierTask = {
    ...{ config, inputSize: size, channels: 1, seed, stream: 'classifier/real', ...sets },
    ...{ pretrainedFile, checkpointFile: null, recoveries: [], untilEpoch: config.epochs },
  };
  const start = performance.now();
  let trained: Omit<Trained, 'seconds'> | null = null;
  const emit = (event: EngineEvent): Promise<void> => {
    if (event.type !== 'classifierCheckpoint') return Promise.resolve();
    const { weightsEpoch, weightsFile, history } = event;
    const kept = history.find(({ epoch }) => epoch === weightsEpoch) ?? history.at(-1);
    trained = { auc: kept?.validationAuc ?? Number.NaN, keptEpoch: weightsEpoch, epochs: history.length, weightsFile };
    return Promise.resolve();
  };
  const signal = new AbortController().signal;
  await trainClassifier(task, { settings: { precision, execution }, workDir, signal, emit });
  if (trained === null) throw new Error('the training gave no checkpoint');
  return { ...(trained as Omit<Trained, 'seconds'>), seconds: (performance.now() - start) / 1000 };
}

const countsOf = async ({ train, validation }: Sets): Promise<Record<string, number>> => {
  const lines = async ([shard]: Sets['train']['negative']): Promise<number> =>
    (await readFile(shard?.indexFile ?? '', 'utf8')).trim().split('\n').length;
  return {
    trainNegative: await lines(train.negative),
    trainPositive: await lines(train.positive),
    validationNegative: await lines(validation.negative),
    validationPositive: await lines(validation.positive),
  };
};

function describe(arm: Arm | undefined): string {
  if (arm === undefined) return '';
  const aucs = arm.trainings.map(({ auc }) => auc);
  const mean = aucs.reduce((sum, auc) => sum + auc, 0) / aucs.length;
  const deviation = Math.sqrt(aucs.reduce((sum, auc) => sum + (auc - mean) ** 2, 0) / Math.max(1, aucs.length - 1));
  const epochs = arm.trainings.reduce((sum, training) => sum + training.epochs, 0);
  const seconds = arm.trainings.reduce((sum, training) => sum + training.seconds, 0);
  return `${arm.name}: validation AUC ${mean.toFixed(3)}, deviation ${deviation.toFixed(3)} (${aucs.map((auc) => auc.toFixed(3)).join(' ')}); ${epochs} epochs, ${(seconds / epochs).toFixed(2)} s each`;
}
