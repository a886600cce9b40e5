import { createHash } from 'node:crypto';
import sharp from 'sharp';
import type {
  ClassifierManifest,
  ClassSide,
  DatasetManifest,
  EvaluationManifest,
  FilteredSetManifest,
  Fingerprint,
  GeneratorManifest,
  OperatingPoint,
  PerClass,
  Prediction,
  RepeatedModel,
  ShardRef,
  SnapshotMetric,
  SyntheticSetManifest,
} from '../../../contract/manifests.ts';
import { trainingName, type ClassifierTraining, type ClassifierVariant } from '../../../contract/names.ts';
import type { BlobRef } from '../../../contract/refs.ts';
import { resolveStudyFile } from '../../../contract/resolve-study.ts';
import type { Study } from '../../../contract/study.ts';
import { createRng } from '../../../lib/random.ts';
import type { ReportInputs } from '../../../lib/report/report-inputs.ts';
import { compareModels } from '../../../lib/stats/compare-models.ts';
import { compareRepeats, type RepeatPredictions } from '../../../lib/stats/compare-repeats.ts';

/** A finished study, made up here with the shapes and sizes of a small real one. Images are drawn speckle, nobody's. */

export function fakeBlob(name: string): BlobRef {
  return { sha256: createHash('sha256').update(name).digest('hex'), bytes: 1000 + name.length };
}

export const fingerprint: Fingerprint = {
  release: '0.1.0',
  node: '20.20.2',
  icu: '77.1',
  sharp: '0.35.5',
  vips: '8.18.0',
  tensorflow: '2.21.0',
  backend: 'tensorflow',
  device: 'cpu',
  instructionSet: 'avx512',
  threads: 2,
  execution: 'function',
  precision: 'fp32',
};
const preparation: Fingerprint = { ...fingerprint, tensorflow: null, backend: null, execution: null, precision: null };

const shard = (name: string, images: number): ShardRef => ({
  tar: fakeBlob(`${name}.tar`),
  index: fakeBlob(`${name}.jsonl`),
  images,
});
const perClass = <T>(make: (side: ClassSide) => T): PerClass<T> => ({
  negative: make('negative'),
  positive: make('positive'),
});

/** Predictions of a model whose positives score `shift` higher on the logit scale; two images share a group. */
export function fakePredictions(stream: string, shift: number, perSide = 60): Prediction[] {
  const rng = createRng(3, stream);
  return (['negative', 'positive'] as const).flatMap((side) =>
    Array.from({ length: perSide }, (_, i) => {
      const noise = (rng() + rng() + rng() + rng() - 2) * 2.2;
      const logit = noise + (side === 'positive' ? shift / 2 : -shift / 2);
      return {
        member: `${side}-${i}.png`,
        side,
        groupId: i < 10 ? `g${side}${Math.floor(i / 2)}` : null,
        probability: 1 / (1 + Math.exp(-logit)),
      };
    }),
  );
}

/** An operating point as a study's rule would choose it on 88 validation images. */
const fakeOperatingPoint = ({ evaluation }: Study): OperatingPoint => ({
  rule: evaluation.operatingPoint,
  threshold: evaluation.operatingPoint === 'half' ? 0.5 : 0.3217,
  validation: { images: 88, sensitivity: 0.9545, specificity: 0.75 },
});

/** The stored evaluation of two lists of predictions, by lib/stats. */
export function evaluateFake(
  study: Study,
  predictions: { readonly real: readonly Prediction[]; readonly synthetic: readonly Prediction[] },
): EvaluationManifest {
  const { margin, alpha, ciLevel } = study.evaluation;
  const { models, comparison } = compareModels({
    predictions,
    margin,
    alpha,
    ciLevel,
    bootstrapResamples: 200,
    seed: study.seed,
    operatingPoints: { real: fakeOperatingPoint(study), synthetic: fakeOperatingPoint(study) },
  });
  const count = (side: ClassSide): number => predictions.real.filter((p) => p.side === side).length;
  return {
    kind: 'evaluation',
    test: perClass(count),
    groups: new Set(predictions.real.map((p) => p.groupId ?? p.member)).size,
    models: {
      real: { ...models.real, predictions: fakeBlob('predictions-real') },
      synthetic: { ...models.synthetic, predictions: fakeBlob('predictions-synthetic') },
    },
    comparison,
    audit: {
      passed: true,
      checks: [
        { name: 'no group on both sides', passed: true, detail: '430 groups in one split each' },
        { name: 'no test image in training', passed: true, detail: '120 test hashes, none among 427 others' },
      ],
    },
    fingerprint,
  };
}

function fakeClassifier(study: Study, training: ClassifierTraining, train: number): ClassifierManifest {
  const { variant } = training;
  const rng = createRng(5, trainingName(training));
  const history = Array.from({ length: 14 }, (_, i) => ({
    epoch: i + 1,
    learningRate: i < 9 ? 0.001 : 0.0001,
    trainLoss: 0.72 * Math.exp(-i / 5) + 0.05 * rng(),
    validationLoss: 0.35 + 0.4 * Math.exp(-i / 3) + 0.012 * i + 0.06 * rng(),
    validationAccuracy: 0.9 - 0.4 * Math.exp(-i / 3) - 0.04 * rng(),
    validationAuc: 0.95 - 0.42 * Math.exp(-i / 3) - 0.03 * rng(),
  }));
  return {
    kind: 'classifier',
    ...training,
    config: study.classifier,
    inputSize: 96,
    parameters: 55_912_674,
    pretrained: null,
    images: { train: perClass(() => train), validation: perClass(() => Math.round(train / 5)) },
    weights: fakeBlob(`weights-${variant}`),
    validation: fakeBlob(`validation-${variant}`),
    calibration: {
      temperature: 1.8,
      note: null,
      before: { brier: 0.1412, logLoss: 0.5311 },
      after: { brier: 0.1307, logLoss: 0.4189 },
    },
    history,
    epoch: 7,
    fingerprint,
    fingerprintChanges: [],
  };
}

const metric = { name: 'fd.irv2-real', weights: fakeBlob('classifier-real').sha256 };
const fakeMetric = (value: number): SnapshotMetric => ({ ...metric, value, reals: 190, fakes: 2000 });

function fakeGenerator(study: Study, side: ClassSide): GeneratorManifest {
  const rng = createRng(7, side);
  const base = side === 'negative' ? 1 : 1.4;
  return {
    kind: 'generator',
    side,
    className: study.classes[side],
    config: study.generator,
    parameters: { g: 24_762_452, d: 24_000_961 },
    images: 190,
    nimg: 96_000,
    snapshots: Array.from({ length: 7 }, (_, i) => ({
      nimg: i * 16_000,
      weights: fakeBlob(`snapshot-${side}-${i}`),
      grid: fakeBlob(`grid-${side}-${i}`),
      metric: fakeMetric(base * (260 * Math.exp(-i / 1.6) + 24 + (i === 6 ? 5 : 0))),
    })),
    floor: { ...metric, value: 6.4 * base, reals: 95, fakes: 95 },
    reals: fakeBlob(`reals-${side}`),
    events: [fakeBlob(`events-${side}`)],
    losses: Array.from({ length: 48 }, (_, i) => ({
      tick: i,
      nimg: (i + 1) * 2000,
      lossG: 0.75 + 0.03 * i + 0.5 * rng(),
      lossD: 1.35 - 0.012 * i + 0.25 * rng(),
      scoresReal: 0.4 + rng(),
      scoresFake: -0.4 - rng(),
      r1Penalty: 0.02 * rng(),
      pathLength: 1 + rng(),
      plPenalty: 0.1 * rng(),
      rt: i / 60,
      augmentP: 0,
    })),
    stopped: null,
    fingerprint,
    fingerprintChanges: [],
  };
}

function fakeSyntheticSet(generator: GeneratorManifest, study: Study): SyntheticSetManifest {
  const snapshot = generator.snapshots[5];
  if (snapshot === undefined) throw new Error('the fixture has seven snapshots');
  return {
    kind: 'syntheticSet',
    side: generator.side,
    className: generator.className,
    snapshot,
    chosenBy: 'lowest',
    psi: study.synthesis.psi,
    shards: [{ firstSeed: 1, lastSeed: 496, shard: shard(`synthetic-${generator.side}`, 496) }],
    fingerprint,
  };
}

function fakeFilter({ filter }: Study): FilteredSetManifest {
  const classes = perClass((side) => ({
    candidates: 1000,
    accepted: side === 'negative' ? 861 : 640,
    kept: 640,
    verdicts: fakeBlob(`verdicts-${side}`),
    histogram:
      side === 'negative'
        ? [12, 20, 28, 34, 45, 61, 98, 143, 219, 340]
        : [41, 60, 72, 87, 100, 104, 110, 121, 140, 165],
    keptHistogram:
      side === 'negative' ? [0, 0, 0, 0, 0, 50, 70, 104, 166, 250] : [0, 0, 0, 0, 0, 104, 110, 121, 140, 165],
    ended: 'enough accepted' as const,
    loss: {
      ...{ extractor: 'irv2-real', reals: 300, fakes: 640 },
      before: { frechet: 41.2, kernel: 0.031, recall: 0.61, coverage: 0.74 },
      after: { frechet: 44.9, kernel: 0.036, recall: 0.33, coverage: 0.52 },
    },
  }));
  return {
    kind: 'filteredSet',
    filter,
    classes,
    training: {
      train: perClass((side) => [shard(`kept-${side}`, 544)]),
      validation: perClass((side) => [shard(`kept-validation-${side}`, 96)]),
    },
    degenerate: null,
    fingerprint,
  };
}

function fakeDataset(study: Study): DatasetManifest {
  return {
    kind: 'dataset',
    name: study.dataset.name,
    classes: study.classes,
    ignored: study.ignore,
    image: study.image,
    splitUnit: study.split.unit,
    training: {
      train: perClass((side) => [shard(`train-${side}`, 190)]),
      validation: perClass((side) => [shard(`validation-${side}`, 44)]),
    },
    test: perClass((side) => [shard(`test-${side}`, 60)]),
    counts: { train: perClass(() => 190), validation: perClass(() => 44), test: perClass(() => 60) },
    groups: 430,
    nearDuplicateGroups: [
      { groupId: 'g001', sources: ['benign/a (131).png', 'benign/a (42).png', 'malignant/b (51).png'] },
      { groupId: 'g002', sources: ['benign/a (7).png', 'benign/a (8).png'] },
    ],
    setAside: [
      { source: 'malignant/b (51).png', groupId: 'g001', reason: 'near duplicate of an image of the other class' },
    ],
    rejected: [{ source: 'benign/<img src=x onerror=alert(1)>.png', reason: 'not an image: unexpected end of file' }],
    fingerprint: preparation,
  };
}

/** A grid of speckle with a dark oval in each cell; `sharpness` 0 gives noise only. */
export async function drawGrid(name: string, sharpness: number, side = 64): Promise<Uint8Array> {
  const [columns, rows] = [8, 4];
  const rng = createRng(11, name);
  const [width, height] = [columns * side, rows * side];
  const shapes = Array.from({ length: columns * rows }, () => [
    0.35 + 0.3 * rng(),
    0.4 + 0.2 * rng(),
    0.12 + 0.14 * rng(),
  ]);
  const data = Buffer.alloc(width * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [cx = 0, cy = 0, r = 1] = shapes[Math.floor(y / side) * columns + Math.floor(x / side)] ?? [];
      const distance = Math.hypot((x % side) / side - cx, ((y % side) / side - cy) * 1.5) / r;
      const echo = 1 - sharpness * 0.75 * Math.max(0, Math.min(1, (1.1 - distance) * 5));
      const speckle = Math.sqrt(-Math.log(1 - rng())) * 0.62;
      data[y * width + x] = Math.min(255, 170 * echo * speckle * (1 - 0.3 * ((y % side) / side)));
    }
  return new Uint8Array(
    await sharp(data, { raw: { width, height, channels: 1 } })
      .png()
      .toBuffer(),
  );
}

async function fakeGrids(generators: PerClass<GeneratorManifest>, cellPx: number): Promise<ReportInputs['grids']> {
  const fakes = (side: ClassSide) =>
    Promise.all(
      generators[side].snapshots.map(async ({ nimg }, i) => ({
        nimg,
        png: await drawGrid(`${side}-${i}`, i / 7, cellPx),
        chosen: i === 5,
      })),
    );
  const both = async (name: string, sharpness: number) => ({
    negative: await drawGrid(`${name}-negative`, sharpness, cellPx),
    positive: await drawGrid(`${name}-positive`, sharpness, cellPx),
  });
  return {
    reals: await both('reals', 1),
    fakes: { negative: await fakes('negative'), positive: await fakes('positive') },
    kept: await both('kept', 0.8),
    rejected: await both('rejected', 0.4),
  };
}

/** Words that no artefact of a report may contain: they differ between runs of one study, or name a person. */
export const operationalWords = ['fixture-study-id', 'Dr. Owner', 'gpu-fixture-queue'] as const;

export const fixtureFile = {
  studyId: operationalWords[0],
  owner: operationalWords[1],
  queues: { trainGenerator: operationalWords[2] },
  dataset: { name: 'busi-like' },
  classes: { negative: 'benign', positive: 'malignant' },
  image: { resolution: 64 },
  filter: { maxCandidates: 30_000 },
  repeats: 1,
};

/** A study whose classifiers were trained three times; `shift` of the real-trained repeats, as in fakePredictions. */
export async function makeRepeatedInputs(shifts = [3.4, 2.9, 3.1]): Promise<ReportInputs> {
  const inputs = await makeInputs({ repeats: 3 });
  const { study, classifiers, evaluation } = inputs;
  const { threshold } = fakeOperatingPoint(study);
  const of = (variant: ClassifierVariant, shift: number, repeat: number): RepeatPredictions => ({
    predictions: fakePredictions(repeat === 0 ? variant : `${variant}/${repeat}`, shift),
    threshold,
  });
  const compared = compareRepeats(
    {
      real: shifts.map((shift, repeat) => of('real', shift, repeat)),
      synthetic: [2.2, 2.4, 2].map((shift, repeat) => of('synthetic', shift, repeat)),
    },
    { ...study.evaluation, bootstrapResamples: 200, seed: study.seed },
  );
  const stored = (variant: ClassifierVariant): RepeatedModel => {
    const { repeats, ...spread } = compared.models[variant];
    return { ...spread, repeats: repeats.map((one, r) => ({ ...one, predictions: fakeBlob(`${variant}/${r}`) })) };
  };
  const further = (variant: ClassifierVariant, train: number): ClassifierManifest[] =>
    [1, 2].map((repeat) => fakeClassifier(study, { variant, repeat }, train));
  return {
    ...inputs,
    classifiers: { ...classifiers, repeats: { real: further('real', 190), synthetic: further('synthetic', 544) } },
    evaluation: evaluation && {
      ...evaluation,
      repeats: { models: { real: stored('real'), synthetic: stored('synthetic') }, comparison: compared.comparison },
    },
  };
}

/** Complete inputs; `file` overrides the study file, `cellPx` is the side of a grid's cell. */
export async function makeInputs(file: Record<string, unknown> = {}, cellPx = 8): Promise<ReportInputs> {
  const study = resolveStudyFile({ ...fixtureFile, ...file });
  const generators = perClass((side) => fakeGenerator(study, side));
  return {
    study,
    dataset: fakeDataset(study),
    calibrationGaps: {
      real: { 'equal-width': { before: 0.0921, after: 0.0613 }, 'equal-mass': { before: 0.0874, after: 0.0542 } },
      synthetic: { 'equal-width': { before: 0.1133, after: 0.0708 }, 'equal-mass': { before: 0.1017, after: 0.0655 } },
    },
    classifiers: {
      real: fakeClassifier(study, { variant: 'real' }, 190),
      synthetic: fakeClassifier(study, { variant: 'synthetic' }, 544),
    },
    generators,
    synthetic: perClass((side) => fakeSyntheticSet(generators[side], study)),
    filtered: fakeFilter(study),
    evaluation: evaluateFake(study, {
      real: fakePredictions('real', 3.4),
      synthetic: fakePredictions('synthetic', 2.2),
    }),
    sha256s: {
      dataset: fakeBlob('dataset').sha256,
      'classifier/real': fakeBlob('classifier/real').sha256,
      'generator/negative': fakeBlob('generator/negative').sha256,
      'generator/positive': fakeBlob('generator/positive').sha256,
      filter: fakeBlob('filter').sha256,
      evaluation: fakeBlob('evaluation').sha256,
    },
    grids: await fakeGrids(generators, cellPx),
  };
}
