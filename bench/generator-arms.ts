import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  EngineContext,
  EngineSettings,
  GeneratorModel,
  LocalShard,
  MeasureSnapshotTask,
} from '../contract/engine.ts';
import type { ClassSide, SetQuality, TickRecord } from '../contract/manifests.ts';
import { totalNimgOf } from '../contract/plan.ts';
import type { GeneratorConfig } from '../contract/study.ts';
import { loadShardImages } from '../lib/dataset/shard.ts';
import { loadEngine } from '../lib/engine/backend.ts';
import { trainGenerator } from '../lib/generator/train.ts';
import { encodeGrid } from '../lib/image/grid.ts';
import { correlation, mirrored, standardized, thumbnail } from '../lib/image/perceptual-hash.ts';
import type { RawImage } from '../lib/image/raw-image.ts';
import { measureQuality, measureSnapshot } from '../lib/synthesis/measure-snapshot.ts';
import { scoreShards } from '../lib/synthesis/score-shards.ts';
import { synthesizeShards } from '../lib/synthesis/synthesize-shards.ts';
import type { ImagesOptions } from './classifier-config.ts';
import { benchConfig, benchImage, type WidthOptions } from './generator-config.ts';
import { countsOf, prepareSets } from './image-sets.ts';
import { describeMachine } from './quiet-machine.ts';
import { smallClassifier, trainSmallClassifier } from './small-classifier.ts';

export interface GeneratorArmsOptions extends WidthOptions, Pick<ImagesOptions, 'images' | 'negative' | 'positive'> {
  readonly side: ClassSide;
  readonly arms: readonly ArmName[];
  readonly batch: number;
  readonly kimg: number;
  readonly snapshots: number;
  readonly seeds: number;
  readonly firstSeed: number;
  readonly fakes: number;
  readonly adaKimg: number;
  readonly out: string;
  readonly json?: true;
}

interface Arm {
  readonly precision: 'fp32' | 'bf16';
  readonly changes: Partial<GeneratorConfig>;
}

const ada = { augment: 'ada', augmentPipe: 'ultrasound', augmentPMax: 0.8, adaTarget: 0.6, adaInterval: 4 } as const;
const diffaugment = { augment: 'diffaugment', diffAugmentPolicy: ['color', 'translation', 'cutout'] } as const;

/** What an arm changes. */
const armsOf = {
  fp32: (): Arm => ({ precision: 'fp32', changes: {} }),
  bf16: (): Arm => ({ precision: 'bf16', changes: {} }),
  none: ({ precision }: GeneratorArmsOptions): Arm => ({ precision, changes: {} }),
  ada: ({ precision, adaKimg }: GeneratorArmsOptions): Arm => ({ precision, changes: { ...ada, adaKimg } }),
  diffaugment: ({ precision }: GeneratorArmsOptions): Arm => ({
    precision,
    changes: { ...diffaugment, diffAugmentPolicy: [...diffaugment.diffAugmentPolicy] },
  }),
};

export type ArmName = keyof typeof armsOf;
export const armNames = Object.keys(armsOf) as ArmName[];

interface Trained {
  readonly arm: ArmName;
  readonly seed: number;
  readonly seconds: number;
  /** Frechet distance to the training images by images shown, at psi 1; all arms in fp32, and in the arm's own precision. */
  readonly curve: readonly Point[];
  readonly best: { readonly nimg: number; readonly quality: SetQuality };
  /** Share of the best snapshot's fakes, at psi 1, that the classifier takes for their class. */
  readonly acceptance: number;
  readonly neighbours: Neighbours;
  readonly ticks: readonly TickRecord[];
}

interface Point {
  readonly nimg: number;
  readonly distance: number;
  readonly ownDistance: number;
  readonly msSsim: number | null;
}

/** Highest correlation of thumbnails, mirrored or not, with a training image: of fakes, and of other training images. */
interface Neighbours {
  readonly fakes: Spread;
  readonly reals: Spread;
}

interface Spread {
  readonly median: number;
  readonly highest: number;
}

interface Measured {
  readonly options: GeneratorArmsOptions;
  readonly reals: readonly LocalShard[];
  readonly realImages: readonly RawImage[];
  readonly metric: Omit<MeasureSnapshotTask, 'generator' | 'seed'>;
  readonly context: Omit<EngineContext, 'settings'>;
  readonly settings: EngineSettings;
}

/**
 * Trains the generator of one class once per arm and seed for equally many images, and compares what comes out: metric with
 * its floor, acceptance by a classifier of the real images, nearest training images. All arms are measured by the same
 * classifier, in fp32 and as a study of that precision would. The test part of the images is never read. Grids and pairs of neighbours go to `--out`.
 */
export async function benchGeneratorArms(options: GeneratorArmsOptions): Promise<void> {
  if (options.channels !== 1)
    throw new Error(`images are prepared with 1 channel, found --channels ${options.channels}`);
  await loadEngine();
  await mkdir(options.out, { recursive: true });
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-bench-'));
  try {
    const measured = await prepareMeasuring(options, dir);
    const floor = await measureSnapshot({ ...measured.metric, generator: null, seed: 1 }, contextOf(measured));
    process.stderr.write(`floor: ${floor.value.toFixed(1)} over ${floor.reals} and ${floor.fakes} images\n`);
    const trainings: Trained[] = [];
    for (let seed = options.firstSeed; seed < options.firstSeed + options.seeds; seed++)
      for (const arm of options.arms) {
        trainings.push(await trainArm(measured, arm, seed));
        process.stderr.write(`${describe(trainings.at(-1))}\n`);
        const report = { machine: describeMachine(), options, floor: floor.value, trainings };
        await writeFile(join(options.out, 'arms.json'), `${JSON.stringify(report, null, 1)}\n`);
      }
    process.stdout.write(
      options.json ? await readFile(join(options.out, 'arms.json'), 'utf8') : `${trainings.map(describe).join('\n')}\n`,
    );
  } finally {
    await rm(dir, { recursive: true });
  }
}

const contextOf = ({ context, settings }: Measured): EngineContext => ({ ...context, settings });

async function prepareMeasuring(options: GeneratorArmsOptions, dir: string): Promise<Measured> {
  const sets = await prepareSets({ ...options, resolution: options.res }, options.images, join(dir, 'real'));
  const settings = { precision: 'fp32', execution: options.execution } as const;
  const size = Math.max(96, options.res);
  const config = smallClassifier({ batch: 16, width: 0.25, blocks: [1, 2, 1], epochs: 20 });
  const { auc, weightsFile } = await trainSmallClassifier(
    { size, ...settings },
    { config, sets, seed: 1, pretrainedFile: null, dir },
  );
  process.stderr.write(
    `classifier: validation AUC ${auc.toFixed(3)}; images ${JSON.stringify(await countsOf(sets))}\n`,
  );
  const { channels } = benchImage(options);
  const model = { config, inputSize: size, channels, weightsFile, temperature: 1 };
  const reals = sets.train[options.side];
  const { images: realImages } = await loadShardImages(reals);
  return {
    ...{ options, reals, realImages, settings },
    metric: {
      extractor: { kind: 'classifier', model },
      metric: { name: 'fd.irv2-real', weights: weightsFile },
      ...{ reals, fakes: options.fakes },
    },
    context: { workDir: dir, signal: new AbortController().signal, emit: () => Promise.resolve() },
  };
}

function configOf(options: GeneratorArmsOptions, { changes }: Arm): GeneratorConfig {
  const { batch, kimg, snapshots } = options;
  const tickNimg = Math.max(batch, Math.ceil((kimg * 1000) / (snapshots * 10) / batch) * batch);
  const sizes = { batchSize: batch, microBatchSize: batch, totalKimg: kimg, tickNimg, snapshotTicks: 10 };
  return benchConfig(options, { ...sizes, r1Gamma: null, gridSize: [8, 4], ...changes });
}

async function trainArm(measured: Measured, arm: ArmName, seed: number): Promise<Trained> {
  const { options, reals, metric } = measured;
  const recipe = armsOf[arm](options);
  const { precision } = recipe;
  const config = configOf(options, recipe);
  const image = benchImage(options);
  const ticks: TickRecord[] = [];
  const found: { nimg: number; msSsim: number | null; generator: GeneratorModel; gridFile: string }[] = [];
  const workDir = await mkdtemp(join(measured.context.workDir, `${arm}-${seed}-`));
  const start = performance.now();
  const { trouble } = await trainGenerator(
    {
      ...{ config, image, seed, side: options.side, shards: reals },
      ...{ checkpointFile: null, startFile: null, untilNimg: totalNimgOf(config) },
    },
    {
      ...{ workDir, signal: measured.context.signal, settings: { precision, execution: options.execution } },
      emit: async (event) => {
        if (event.type !== 'generatorCheckpoint') return;
        ticks.push(...event.ticks);
        await rm(event.checkpointFile);
        if (event.snapshot === null) return;
        const { weightsFile, gridFile, msSsim } = event.snapshot;
        found.push({ nimg: event.nimg, msSsim, gridFile, generator: { config, image, weightsFile } });
      },
    },
  );
  const seconds = (performance.now() - start) / 1000;
  if (trouble !== null) throw new Error(`${arm}, seed ${seed}: ${trouble.reason}`);
  const points: { readonly point: Point; readonly snapshot: (typeof found)[number]; readonly quality: SetQuality }[] =
    [];
  for (const snapshot of found) {
    const { nimg, msSsim, generator } = snapshot;
    const task = { ...metric, generator, seed };
    const { quality } = await measureQuality({ ...task, psi: 1 }, contextOf(measured));
    if (quality === null) throw new Error('--fakes and the training images of the class must be six or more');
    const distance = quality.frechet;
    const own = { ...contextOf(measured), settings: { precision, execution: options.execution } };
    const ownDistance = precision === 'fp32' ? distance : (await measureSnapshot(task, own)).value;
    points.push({ point: { nimg, distance, ownDistance, msSsim }, snapshot, quality });
  }
  const { snapshot, quality } = points.reduce((a, b) => (b.point.distance < a.point.distance ? b : a));
  await cp(snapshot.gridFile, join(options.out, `${arm}-${seed}-fakes.png`));
  return {
    ...{ arm, seed, seconds, ticks },
    curve: points.map(({ point }) => point),
    best: { nimg: snapshot.nimg, quality },
    ...(await lookAtFakes(measured, snapshot.generator, `${arm}-${seed}`)),
  };
}

/** Fakes of seeds 1 and on, as a study draws them, at psi 1. */
async function lookAtFakes(
  measured: Measured,
  generator: GeneratorModel,
  name: string,
): Promise<Pick<Trained, 'acceptance' | 'neighbours'>> {
  const { options, realImages, metric } = measured;
  if (metric.extractor.kind !== 'classifier') throw new Error('fakes are scored by a classifier');
  const context = contextOf(measured);
  const shards = await synthesizeShards(
    {
      ...{ generator, side: options.side, className: options[options.side], psi: 1, batchSize: 8, provenance: {} },
      shards: [{ firstSeed: 1, lastSeed: options.fakes }],
    },
    context,
  );
  const { scores } = await scoreShards({ model: metric.extractor.model, shards }, context);
  const accepted = scores.filter(({ probability }) => (options.side === 'positive') === probability > 0.5);
  const { images: fakes } = await loadShardImages(shards);
  const ofFakes = nearest(fakes, realImages);
  const alike = ofFakes
    .map((neighbour, i) => ({ ...neighbour, fake: fakes[i] }))
    .sort((a, b) => b.value - a.value)
    .slice(0, 8);
  const pairs = [...alike.map(({ fake }) => fake), ...alike.map(({ index }) => realImages[index])];
  const grid = await encodeGrid(
    pairs.filter((image) => image !== undefined),
    { columns: alike.length, rows: 2 },
  );
  await writeFile(join(options.out, `${name}-neighbours.png`), grid);
  return {
    acceptance: accepted.length / scores.length,
    neighbours: { fakes: spread(ofFakes), reals: spread(nearest(realImages, realImages)) },
  };
}

interface Neighbour {
  readonly value: number;
  readonly index: number;
}

/** The nearest of `others` to each image, itself left out. */
function nearest(images: readonly RawImage[], others: readonly RawImage[]): Neighbour[] {
  const candidates = others.map((image) => ({ image, pixels: standardized(thumbnail(image)) }));
  return images.map((image) => {
    const small = thumbnail(image);
    const views = [standardized(small), standardized(mirrored(small))];
    let best: Neighbour = { value: -1, index: 0 };
    for (const [index, other] of candidates.entries()) {
      if (other.image === image) continue;
      for (const view of views) {
        const value = correlation(view, other.pixels);
        if (value > best.value) best = { value, index };
      }
    }
    return best;
  });
}

function spread(neighbours: readonly Neighbour[]): Spread {
  const sorted = neighbours.map(({ value }) => value).sort((a, b) => a - b);
  return { median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN, highest: sorted.at(-1) ?? Number.NaN };
}

function describe(training: Trained | undefined): string {
  if (training === undefined) return '';
  const { arm, seed, curve, best, acceptance, neighbours, seconds, ticks } = training;
  const last = ticks.at(-1);
  return [
    `${arm}, seed ${seed}: ${curve.map(({ distance }) => distance.toFixed(1)).join(' ')}`,
    `in its own precision ${curve.map(({ ownDistance }) => ownDistance.toFixed(1)).join(' ')}`,
    `best at ${best.nimg / 1000} kimg: recall ${best.quality.recall.toFixed(2)}, coverage ${best.quality.coverage.toFixed(2)}`,
    `accepted ${(acceptance * 100).toFixed(1)}%`,
    `nearest real ${neighbours.fakes.median.toFixed(3)} (highest ${neighbours.fakes.highest.toFixed(3)}), among reals ${neighbours.reals.median.toFixed(3)} (${neighbours.reals.highest.toFixed(3)})`,
    `r_t ${last?.rt?.toFixed(2)}, p ${last?.augmentP.toFixed(2)}; ${seconds.toFixed(0)} s`,
  ].join('; ');
}
