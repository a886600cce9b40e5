import type { ResolvedStudy, StudyPlan } from '../contract/activities.ts';
import { classSides, type ClassSide, type DatasetImport, type PerClass } from '../contract/manifests.ts';
import { gammaVariant, generatorStep, trainingName, type ClassifierVariant } from '../contract/names.ts';
import {
  classifierInputSize,
  decidingRule,
  estimateGeneratorParameters,
  planSegments,
  snapshotNimgs,
  tickNimgOf,
  totalNimgOf,
} from '../contract/plan.ts';
import type { Study } from '../contract/study.ts';
import { featureBytes, hasDrawnViews } from '../lib/classifier/feature-space.ts';
import { planNetwork } from '../lib/classifier/shape-layers.ts';
import { ConfigurationError, DatasetError } from '../lib/errors.ts';
import { networkShapeOf } from '../lib/generator/architecture.ts';
import { findTooFew } from '../lib/generator/data.ts';
import { checkMemory, machineMemoryBytes, trainingMemoryBytes } from '../lib/generator/memory.ts';
import { getManifest } from '../lib/storage/blobs.ts';
import type { ControlDeps } from './control.ts';
import { requireSuppliedWeights } from './extractor.ts';
import { requireStart } from './start-weights.ts';

/**
 * Looks before a long study starts: are the class folders there, is a worker on every queue, does it fit the disk. What
 * only costs time (an idle queue) is a warning; what cannot end well is an error.
 * @throws DatasetError, ConfigurationError, WeightsError.
 */
export async function planStudy(
  { study, source }: ResolvedStudy,
  {
    store,
    findIdleQueues,
    freeBytes,
    hasGpu = false,
  }: Pick<ControlDeps, 'store' | 'findIdleQueues' | 'freeBytes' | 'hasGpu'>,
): Promise<StudyPlan> {
  const images = countSources(study, await getManifest<DatasetImport>(store, source));
  await requireSuppliedWeights(store, study);
  await requireStart(store, study);
  const estimatedBytes = estimateBytes(study, images);
  const free = await freeBytes();
  const { local } = estimateFeatures(study, images);
  if (free !== null && free < estimatedBytes + local)
    throw new ConfigurationError(
      `the study needs about ${gigabytes(estimatedBytes)} GB in the store` +
        (local === 0 ? '' : ` and, for cached features, ${gigabytes(local)} GB in the work directory`) +
        `, ${gigabytes(free)} GB are free; ` +
        'free some space (npm run clean), use another disk (ECHOFORGE_HOME), or lower synthesis.imagesPerClass',
    );
  const queues = [...new Set(planSteps(study).map(({ queue }) => queue))];
  const idle = await findIdleQueues(queues);
  const warnings = idle.map((queue) => `no worker polls queue ${queue}; its steps wait until one does`);
  warnings.push(...describeFewSnapshots(study));
  const shape = networkShapeOf(study.generator, study.image);
  const available = machineMemoryBytes();
  // A store whose disk can be seen is on the machine that trains.
  if (free !== null && !hasGpu) checkMemory(shape, study.generator, available);
  const needed = trainingMemoryBytes(shape, study.generator);
  if (needed > 0.8 * available)
    warnings.push(
      `training needs about ${gigabytes(needed)} GB of memory, this host has ${gigabytes(available)}; a GPU has its own`,
    );
  return { steps: planSteps(study), images, estimatedBytes, warnings };
}

/** As many as the demo has; with fewer there is nothing to choose from, and nothing to go back to. */
const fewestSnapshots = 3;

/** Ticks as long as the paper's leave a small budget with the untrained and the last snapshot. */
function describeFewSnapshots({ generator, image }: Study): string[] {
  const trained = snapshotNimgs(generator, image.resolution).length - 1; // the first is untrained
  if (trained >= fewestSnapshots) return [];
  const tickNimg = tickNimgOf(generator, image.resolution);
  return [
    `generator.totalKimg ${generator.totalKimg} ends with ${trained} trained ${trained === 1 ? 'snapshot' : 'snapshots'} to choose from: ` +
      `there is one every ${(tickNimg * generator.snapshotTicks) / 1000} kimg; lower generator.tickNimg (${tickNimg})`,
  ];
}

/** Source files per class. @throws DatasetError when a class folder is missing or a folder is neither class nor ignored. */
function countSources(study: Study, source: DatasetImport): PerClass<number> {
  const folders = new Map<string, number>();
  for (const { path } of source.files) {
    const folder = path.split('/')[0] ?? '';
    if (path.includes('/')) folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  const known = [study.classes.negative, study.classes.positive, ...study.ignore];
  const unknown = [...folders.keys()].filter((folder) => !known.includes(folder));
  if (unknown.length > 0)
    throw new DatasetError(
      `dataset ${study.dataset.name} has folders that are neither a class nor ignored: ${unknown.join(', ')}; ` +
        'name them in "classes" or list them in "ignore"',
    );
  const count = (side: ClassSide): number => folders.get(study.classes[side]) ?? 0;
  for (const side of classSides)
    if (count(side) < study.prepare.minImagesPerClass)
      throw new DatasetError(
        `class folder "${study.classes[side]}" of dataset ${study.dataset.name} holds ${count(side)} files, ` +
          `at least ${study.prepare.minImagesPerClass} are needed (prepare.minImagesPerClass)`,
      );
  // Which of them are for training is known when the data set is split; the first classifier looks again then.
  const counts = { negative: count('negative'), positive: count('positive') };
  const tooFew = findTooFew(counts, study.generator);
  if (tooFew === null) return counts;
  const advice = `import more, or lower generator.batchSize (${study.generator.batchSize})`;
  throw new DatasetError(
    tooFew.of === 'both'
      ? `dataset ${study.dataset.name} holds ${tooFew.found} files of both classes, fewer than one minibatch of their generator; ${advice}`
      : `class folder "${study.classes[tooFew.of]}" of dataset ${study.dataset.name} holds ${tooFew.found} files, fewer than ` +
          `one minibatch of its generator; ${advice}`,
  );
}

function planSteps(study: Study): StudyPlan['steps'] {
  const { queues, generator, classifier, synthesis, image, classes } = study;
  const segments = planSegments(generator, image.resolution, 0).length;
  const snapshots = snapshotNimgs(generator, image.resolution).length;
  const queueOf = (side: ClassSide): string =>
    typeof queues.trainGenerator === 'string' ? queues.trainGenerator : queues.trainGenerator[side];
  const training = `up to ${classifier.epochs} epochs`;
  const trainings = (variant: ClassifierVariant): StudyPlan['steps'] =>
    Array.from({ length: study.repeats }, (_, repeat) => ({
      step: `classifier/${trainingName(repeat === 0 ? { variant } : { variant, repeat })}`,
      queue: queues.trainClassifier,
      detail: training,
    }));
  const generatorDetail = `${totalNimgOf(generator) / 1000} kimg, ${segments} segments, ${snapshots} snapshots`;
  return [
    { step: 'dataset', queue: queues.prepareDataset, detail: `${image.resolution} px, ${image.channels} channel(s)` },
    ...trainings('real'),
    ...classSides.flatMap((side) => [
      ...(generator.gammaSweep ?? []).map((gamma) => ({
        step: generatorStep(classes[side], gammaVariant(gamma)),
        queue: queueOf(side),
        detail: `${generator.gammaSweepKimg ?? 0} kimg, to choose r1Gamma`,
      })),
      {
        step: generatorStep(classes[side]),
        queue: queueOf(side),
        detail:
          generator.conditional === true && side === 'positive'
            ? `measures the snapshots of ${generatorStep(classes.negative)}, which trains both classes`
            : generatorDetail,
      },
    ]),
    ...classSides.map((side) => ({
      step: `synthesis/${classes[side]}`,
      queue: queues.synthesize,
      detail: `${synthesis.imagesPerClass} images, psi ${synthesis.psi}`,
    })),
    { step: 'filter', queue: queues.filterSynthetic, detail: describeFilter(study) },
    ...trainings('synthetic'),
    { step: 'evaluation', queue: queues.evaluateModels, detail: `margin ${study.evaluation.margin}` },
    { step: 'report', queue: queues.publishReport, detail: 'report.html, results.json' },
  ];
}

const describeFilter = ({ filter, repeats }: Study): string =>
  filter.rule === 'ensemble' ? `ensemble of ${repeats}, ${decidingRule(filter)}` : filter.rule;

/** What the study adds to the store: checkpoints kept at once, snapshots, images, cached features. Rounded up, not exact. */
function estimateBytes(study: Study, images: PerClass<number>): number {
  const { generator, classifier, image, synthesis, repeats } = study;
  const parameters = estimateGeneratorParameters(study);
  const snapshots = snapshotNimgs(generator, image.resolution).length;
  const checkpoint = 4 * parameters * 4; // G, D, the EMA copy and two Adam moments each
  const pixels = image.resolution ** 2 * image.channels;
  const perTraining = checkpoint * (4 + snapshots / 10) + snapshots * (2 * parameters + 32 * pixels);
  const classifierParameters = planNetwork({ ...classifier, classes: 2 }, classifierInputSize(study)).parameters;
  // Two checkpoints of the network, its best epoch and two Adam moments; and the published weights.
  const perClassifier = 4 * classifierParameters * (2 * 4 + 1);
  const trials = (generator.gammaSweep?.length ?? 0) * checkpoint * 4; // the last two, the best, the first
  const candidates = study.filter.maxCandidates ?? synthesis.imagesPerClass;
  const trainings = generator.conditional === true ? 1 : 2;
  return Math.ceil(
    trainings * (perTraining + trials) +
      2 * repeats * perClassifier +
      estimateFeatures(study, images).stored +
      (images.negative + images.positive + 2 * candidates) * pixels,
  );
}

/** Bytes of cached features: of real and synthetic images in the store, and of one training in the work directory. */
function estimateFeatures(study: Study, images: PerClass<number>): { readonly stored: number; readonly local: number } {
  const { classifier, synthesis, filter, split, repeats } = study;
  const real = (images.negative + images.positive) * (1 - split.test);
  const synthetic = 2 * (filter.keepPerClass ?? filter.maxCandidates ?? synthesis.imagesPerClass);
  const bytesOf = (count: number): number => Math.ceil(featureBytes(classifier, classifierInputSize(study), count));
  const differing = hasDrawnViews(classifier) ? repeats : 1;
  return { stored: differing * bytesOf(real + synthetic), local: bytesOf(Math.max(real, synthetic)) };
}

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
