import type { Study } from './study.ts';

/** Everything a study file may omit. `sound` is exactly this; the other presets are the differences below. */
export const defaults: Omit<Study, 'studyId' | 'dataset' | 'classes'> = {
  preset: 'sound',
  owner: '',
  seed: 1,
  ignore: [],
  image: { resolution: 256, channels: 1, fit: 'crop' },
  prepare: {
    nearDuplicateNcc: 0.97,
    hashDistance: 24,
    crossClass: 'drop',
    shardImages: 200,
    minSourcePx: 32,
    minImagesPerClass: 20,
  },
  split: { unit: 'group', validation: 0.15, test: 0.2, validationFrom: 'held-out' },
  classifier: {
    inputSize: null,
    width: 1,
    blocks: [10, 20, 9],
    headUnits: 1024,
    dropout: 0.4,
    inputScaling: 'symmetric',
    epochs: 50,
    segmentEpochs: 5,
    batchSize: 32,
    learningRate: 0.001,
    headEpochs: 5,
    fineTuneLayers: 'top',
    fineTuneLearningRate: 0.0001,
    plateauPatience: 3,
    earlyStoppingPatience: 10,
    labelSmoothing: 0.05,
    classWeights: true,
    mirror: true,
    shift: 0.1,
    zoom: 0.1,
    brightness: 0.1,
    contrast: 0.1,
    restoreBest: true,
    bnMomentum: 0.99,
    bn: 'batch',
    freeze: 'none',
    calibration: 'temperature',
    weights: null,
    allowRandomTrunk: false,
    featureCache: null,
  },
  generator: {
    config: 'e',
    gArchitecture: 'skip',
    dArchitecture: 'resnet',
    fmapBase: 8192,
    fmapMax: 512,
    latentSize: 512,
    mappingLayers: 8,
    totalKimg: 25_000,
    batchSize: 32,
    microBatchSize: 4,
    tickNimg: null,
    snapshotTicks: 10,
    segmentTicks: 20,
    learningRate: 0.002,
    r1Gamma: null,
    dRegInterval: 16,
    gRegInterval: 4,
    plWeight: 2,
    plDecay: 0.01,
    emaHalfLifeKimg: 10,
    emaRampup: 0.05,
    mixingProb: 0.9,
    mirrorAugment: true,
    gridSize: [8, 4],
    augment: 'none',
    augmentPipe: null,
    augmentP: null,
    augmentPMax: null,
    adaTarget: null,
    adaInterval: null,
    adaKimg: null,
    diffAugmentPolicy: null,
    resumeFrom: null,
    freezeD: 0,
    gammaSweep: null,
    gammaSweepKimg: null,
    histograms: false,
    conditional: false,
  },
  snapshotMetric: { extractor: 'auto', fakes: 2000, inceptionWeights: null },
  synthesis: { imagesPerClass: 25_000, psi: 1.6, batchSize: 8, shardImages: 496 },
  filter: {
    rule: 'argmax',
    ensembleRule: null,
    threshold: 0.9,
    quantile: 0.5,
    entropyBits: 0.5,
    keepPerClass: null,
    maxCandidates: null,
  },
  evaluation: {
    margin: 0.05,
    alpha: 0.025,
    ciLevel: 0.95,
    bootstrapResamples: 2000,
    operatingPoint: 'half',
    targetSensitivity: 0.95,
  },
  repeats: 5,
  precision: 'fp32',
  execution: 'function',
  gates: [],
  reuse: true,
  queues: {
    prepareDataset: 'cpu',
    trainClassifier: 'gpu',
    trainGenerator: 'gpu',
    measureSnapshot: 'gpu',
    synthesize: 'gpu',
    filterSynthetic: 'gpu',
    evaluateModels: 'gpu',
    publishReport: 'cpu',
  },
};

/** A tree of overrides; arrays and null replace, objects merge. */
export type Overrides<T> = { readonly [K in keyof T]?: T[K] extends object ? Overrides<T[K]> : T[K] };

/** The augmentation of the reference: flips and shifts, nothing else. */
const flipsAndShifts = { zoom: 0, brightness: 0, contrast: 0 };

/** evaluation.md 1.6 step for step; its faults stay in and the report names them. */
const nakata: Overrides<Study> = {
  split: { unit: 'image', validation: 0.1, test: 0.4, validationFrom: 'training' },
  prepare: { crossClass: 'keep' },
  classifier: {
    dropout: 0,
    inputScaling: 'unit',
    labelSmoothing: 0,
    classWeights: false,
    ...flipsAndShifts,
    restoreBest: false,
    headEpochs: 0,
    freeze: 'nakata',
    calibration: 'none',
  },
  generator: { r1Gamma: 100, emaRampup: null },
  filter: { keepPerClass: 14_000, maxCandidates: null },
  repeats: 1,
};

/** The whole study in minutes on two cores: the same networks and algorithms, small by these numbers alone. */
const demo: Overrides<Study> = {
  image: { resolution: 32 },
  prepare: { minImagesPerClass: 10 },
  classifier: {
    width: 0.125,
    blocks: [1, 1, 1],
    headUnits: 64,
    epochs: 12,
    segmentEpochs: 4,
    batchSize: 16,
    ...flipsAndShifts,
    bnMomentum: 0.9,
  },
  generator: {
    fmapBase: 512,
    fmapMax: 64,
    latentSize: 64,
    mappingLayers: 4,
    totalKimg: 6,
    batchSize: 16,
    microBatchSize: 16,
    tickNimg: 500,
    snapshotTicks: 4,
    segmentTicks: 4,
  },
  snapshotMetric: { fakes: 200 },
  synthesis: { imagesPerClass: 400, shardImages: 104 },
  filter: { maxCandidates: 1200 },
  evaluation: { margin: 0.1 },
  repeats: 1,
};

export const presets: Readonly<Record<Study['preset'], Overrides<Study>>> = { sound: {}, nakata, demo };

/**
 * What config-f changes in a study of config-e, before the study file is laid over it: twice the feature maps, and the
 * paper's R1 weight of 10 where a preset has config-e's 100.
 */
export function configDifference(config: unknown, preset: Study['preset']): Overrides<Study> {
  if (config !== 'f') return {};
  const r1Gamma = presets[preset].generator?.r1Gamma === 100 ? { r1Gamma: 10 } : {};
  return { generator: { fmapBase: 16_384, ...r1Gamma } };
}
