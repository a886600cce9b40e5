import { z } from 'zod';
import {
  conditionalProblems,
  conditionalSchema,
  withoutIdleConditional,
  type ConditionalConfig,
} from './conditional.ts';
import { gammaSweepProblems, gammaSweepSchema, withoutIdleSweep, type GammaSweepConfig } from './gamma-sweep.ts';
import { promisedSha256 } from './keys.ts';
import { transferProblems, transferSchema, withoutIdleTransfer, type TransferConfig } from './transfer.ts';

/**
 * The study file: one schema, validated before anything starts. Every field has a unit, a bound and a default; a preset
 * is a small difference from the defaults (contract/presets.ts). Unknown keys are refused with the path of the field.
 */

/** The values on both sides of one that is refused, inside the bounds, as advice. */
const either = (below: number, above: number, { min, max }: { min: number; max: number }): string =>
  `take ${[...new Set([below, above].map((n) => Math.min(Math.max(n, min), max)))].join(' or ')}`;

const powerOfTwo = (min: number, max: number): z.ZodType<number> =>
  z
    .int()
    .min(min)
    .max(max)
    .refine((n) => Number.isInteger(Math.log2(n)), {
      error: ({ input }) => {
        const exponent = Math.log2(Math.max(Number(input), min));
        const advice = either(2 ** Math.floor(exponent), 2 ** Math.ceil(exponent), { min, max });
        return `expected a power of two from ${min} to ${max}; ${advice}`;
      },
    });

const slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: 'expected 1-63 lower-case letters, digits and dashes' });
const folder = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, { error: 'expected a plain folder name' });
const queue = z
  .string()
  .regex(/^(cpu|gpu)(-[a-z0-9-]+)?$/, { error: 'expected cpu, gpu or a tagged queue such as gpu-a100' })
  .describe('task queue of this step');

const imageSchema = z.strictObject({
  resolution: powerOfTwo(8, 1024).describe('side of the square images, px. Default: 256'),
  channels: z
    .union([z.literal(1), z.literal(3)], { error: 'expected 1 (grey) or 3 (RGB)' })
    .describe('1 grey, 3 RGB. Default: 1'),
  fit: z.enum(['crop', 'pad']).describe('centre crop to a square, or pad with black. Default: crop'),
});

const prepareSchema = z.strictObject({
  nearDuplicateNcc: z
    .number()
    .min(0.5)
    .max(1)
    .describe('normalised cross-correlation from which two images are one group. Default: 0.97'),
  hashDistance: z
    .int()
    .min(0)
    .max(64)
    .describe('perceptual-hash distance (of 64 bits) up to which a pair is correlated at all. Default: 24'),
  crossClass: z.enum(['drop', 'keep']).describe('near duplicates across classes: set aside or keep. Default: drop'),
  shardImages: z.int().min(1).max(10_000).describe('images per ingest shard. Default: 200'),
  minSourcePx: z.int().min(1).describe('shorter side below which a source image is rejected, px. Default: 32'),
  minImagesPerClass: z.int().min(3).describe('usable images below which the study stops. Default: 20'),
});

const splitFields = z.strictObject({
  unit: z.enum(['group', 'image']).describe('what may not straddle splits. Default: group'),
  validation: z
    .number()
    .min(0)
    .max(0.5)
    .describe('share of images; with `validationFrom` training, of the training images. Default: 0.15; nakata: 0.1'),
  test: z.number().min(0.01).max(0.8).describe('share of images. Default: 0.2; nakata: 0.4'),
  validationFrom: z
    .enum(['held-out', 'training'])
    .describe(
      'where images to validate with come from, reals and fakes: kept out of training, or drawn from the training images, among which they stay, as the reference does. Default: held-out; nakata: training',
    ),
});

type SplitFields = z.output<typeof splitFields>;

/** A resolved split that holds validation out has no such field: its artefacts are those from before there was one. */
const splitSchema = splitFields.transform(
  ({ validationFrom, ...rest }): Omit<SplitFields, 'validationFrom'> & Partial<SplitFields> =>
    validationFrom === 'held-out' ? rest : { ...rest, validationFrom },
);

const classifierFields = z.strictObject({
  inputSize: z.int().min(75).max(1024).nullable().describe('px; null means max(96, resolution). Default: null'),
  width: z.number().gt(0).max(1).describe('multiplier on every filter count; 1 is the published network. Default: 1'),
  blocks: z
    .tuple([z.int().min(1), z.int().min(1), z.int().min(1)])
    .describe('block35, block17, block8 repeats. Default: 10, 20, 9'),
  headUnits: z.int().min(0).max(4096).describe('ReLU units between pooling and softmax, 0 for none. Default: 1024'),
  dropout: z.number().min(0).max(0.9).describe('rate before the softmax layer. Default: 0.4'),
  inputScaling: z.enum(['symmetric', 'unit']).describe('[-1,1] or [0,1]. Default: symmetric'),
  epochs: z.int().min(1).describe('maximum. Default: 50'),
  segmentEpochs: z.int().min(1).describe('epochs per activity. Default: 5'),
  batchSize: z.int().min(2).describe('images per optimiser step. Default: 32'),
  learningRate: z.number().gt(0).max(1).describe('Adam; of the head where it is trained first. Default: 0.001'),
  headEpochs: z
    .int()
    .min(0)
    .describe(
      'first epochs, which train the head alone on the trunk of `weights`; 0 trains in one phase, as always without `weights`. Default: 5; nakata: 0',
    ),
  fineTuneLayers: z
    .enum(['top', 'all'])
    .describe(
      'what is trained after `headEpochs`, with `bn` frozen: mixed_7a and all above it, or everything. Default: top',
    ),
  fineTuneLearningRate: z.number().gt(0).max(1).describe('Adam, after `headEpochs`. Default: 0.0001'),
  plateauPatience: z
    .int()
    .min(0)
    .describe('epochs without better validation loss before lr x 0.1; 0 switches off. Default: 3'),
  earlyStoppingPatience: z
    .int()
    .min(0)
    .describe('epochs without better validation loss before the end; 0 switches off. Default: 10'),
  labelSmoothing: z.number().min(0).max(0.5).describe('share of the target spread over both classes. Default: 0.05'),
  classWeights: z.boolean().describe('weigh the loss by inverse class frequency. Default: true'),
  mirror: z
    .boolean()
    .describe('random left-right flips of training images; never upside down: shadows have a direction. Default: true'),
  shift: z.number().min(0).max(0.5).describe('largest random shift, share of the side, edges repeated. Default: 0.1'),
  zoom: z
    .number()
    .min(0)
    .max(0.5)
    .describe('largest random change of scale, share of it, both axes alike. Default: 0.1; nakata and demo: 0'),
  brightness: z
    .number()
    .min(0)
    .max(0.5)
    .describe('largest random change of brightness, share of the range. Default: 0.1; nakata and demo: 0'),
  contrast: z
    .number()
    .min(0)
    .max(0.5)
    .describe(
      "largest random change of contrast about the image's mean, share of it. Default: 0.1; nakata and demo: 0",
    ),
  restoreBest: z.boolean().describe('keep the weights of the best validation epoch. Default: true'),
  bnMomentum: z.number().min(0).lt(1).describe('of the moving statistics. Default: 0.99'),
  bn: z
    .enum(['batch', 'frozen'])
    .describe(
      'batch normalisation while training: by the statistics of the batch, or by the moving statistics of `weights`, which with the shifts stay as they are, as they always do where `headEpochs` counts. Default: batch',
    ),
  freeze: z.enum(['none', 'nakata']).describe('layers kept at their initial weights. Default: none'),
  calibration: z
    .enum(['none', 'temperature'])
    .describe(
      'how log-odds become probabilities: as they are, or divided by the one temperature that suits the validation images best. Default: temperature; nakata: none',
    ),
  weights: z
    .string()
    .nullable()
    .describe('object key of pretrained weights (echoforge import-weights); null trains from scratch. Default: null'),
  allowRandomTrunk: z.boolean().describe('permit freezing without pretrained weights. Default: false'),
  featureCache: z
    .int()
    .min(1)
    .max(64)
    .nullable()
    .describe(
      'fixed views of each training image that `headEpochs` see, or all epochs with `headEpochs` 0, `freeze: nakata` and `bn: frozen`; what the frozen layers make of them is computed once and kept in the store. The image, its mirror image where `mirror`, then both by turns with the other random changes; null computes fresh views in every epoch. Default: null',
    ),
});

type ClassifierFields = z.output<typeof classifierFields>;

/** A resolved classifier without the cache has no field of it: its artefacts are those from before there was one. */
const classifierSchema = classifierFields
  .superRefine(({ featureCache, weights, headEpochs, freeze, bn, mirror, ...fields }, ctx) => {
    if (featureCache === null) return;
    const refuse = (message: string): void => {
      ctx.addIssue({ code: 'custom', path: ['featureCache'], message });
    };
    const frozenByRecipe = freeze === 'nakata' && bn === 'frozen';
    if (weights === null || (headEpochs === 0 && !frozenByRecipe))
      refuse(
        'features stay the same only while what makes them is frozen: expected `weights` with `headEpochs` above 0, or `weights` with `headEpochs` 0, `freeze: nakata` and `bn: frozen`; or no featureCache',
      );
    const { shift, zoom, brightness, contrast } = fields;
    const different = shift + zoom + brightness + contrast > 0 ? Infinity : mirror ? 2 : 1;
    if (featureCache > different)
      refuse(`expected at most ${different}, found ${featureCache}: without other augmentation no more views differ`);
  })
  .transform(({ featureCache, ...rest }): Omit<ClassifierFields, 'featureCache'> & Partial<ClassifierFields> =>
    featureCache === null ? rest : { ...rest, featureCache },
  );

/** Images whose variation D is shown together (stylegan2.md 2.9). */
const stddevGroup = 4;

/** Refuses the configurations of the paper that grow progressively by name. */
const refuseConfig = (input: unknown): string =>
  typeof input === 'string' && ['a', 'b', 'c', 'd'].includes(input)
    ? `config-${input} grows its networks progressively, which this software does not do: config-e replaced that by networks of full size from the start, with better images; expected e or f`
    : 'expected e or f';

const architecture = z.enum(['orig', 'skip', 'resnet']);

const networkSchema = z.strictObject({
  config: z
    .enum(['e', 'f'], { error: ({ input }) => refuseConfig(input) })
    .describe('StyleGAN2 configuration; f doubles fmapBase and has r1Gamma 10 where e has 100. Default: e'),
  gArchitecture: architecture.describe('how blocks of G join (figure 7 of the paper). Default: skip'),
  dArchitecture: architecture.describe('how blocks of D join. Default: resnet'),
  fmapBase: z
    .int()
    .min(16)
    .describe('feature maps at resolution r: min(fmapMax, floor(fmapBase / 2^(log2 r - 1))). Default: 8192'),
  fmapMax: z.int().min(4).max(512).describe('most feature maps of a layer. Default: 512'),
  latentSize: z.int().min(8).max(512).describe('components of z and w. Default: 512'),
  mappingLayers: z.int().min(1).max(8).describe('dense layers from z to w. Default: 8'),
  totalKimg: z.number().gt(0).describe('thousands of real images shown to D. Default: 25000'),
  batchSize: z.int().min(4).describe('images per optimiser step. Default: 32'),
  microBatchSize: z.int().min(4).describe('images per device pass; divides batchSize. Default: 4'),
  tickNimg: z
    .int()
    .min(1)
    .nullable()
    .describe("images per tick; null takes the paper's value for the resolution. Default: null"),
  snapshotTicks: z.int().min(1).describe('ticks per snapshot. Default: 10'),
  segmentTicks: z.int().min(1).describe('ticks per activity. Default: 20'),
  learningRate: z.number().gt(0).max(1).describe('Adam, before lazy correction. Default: 0.002'),
  r1Gamma: z
    .number()
    .min(0)
    .nullable()
    .describe('null takes 0.0002 res^2 / batch. Default: null; nakata: 100, with config f 10'),
  dRegInterval: z.int().min(1).describe('minibatches. Default: 16'),
  gRegInterval: z.int().min(1).describe('minibatches. Default: 4'),
  plWeight: z.number().min(0).describe('path-length weight. Default: 2'),
  plDecay: z.number().gt(0).max(1).describe('of the running path-length mean. Default: 0.01'),
  emaHalfLifeKimg: z
    .number()
    .gt(0)
    .describe('after which an old weight counts half in the averaged generator. Default: 10'),
  emaRampup: z
    .number()
    .gt(0)
    .max(1)
    .nullable()
    .describe('half-life at most this share of the images seen; null is off. Default: 0.05'),
  mixingProb: z.number().min(0).max(1).describe('style mixing. Default: 0.9'),
  mirrorAugment: z.boolean().describe('flip each real with probability 0.5. Default: true'),
  gridSize: z
    .tuple([z.int().min(1).max(32), z.int().min(1).max(32)])
    .describe('columns, rows of the image grids. Default: 8, 4'),
});

/** What changes images before D sees them; null takes the value that the description names. */
const augmentationSchema = z.strictObject({
  augment: z
    .enum(['none', 'ada', 'diffaugment'])
    .describe(
      'what D sees of reals and fakes: the images; changed with a probability that follows over-fitting (Karras et al. 2020); all changed (Zhao et al. 2020). Default: none',
    ),
  augmentPipe: z
    .enum(['ultrasound', 'bgc'])
    .nullable()
    .describe(
      'changes of ada: those that leave depth and the sign of brightness alone, or the published ones. null takes ultrasound. Default: null',
    ),
  augmentP: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .describe('fixed probability of each change of ada; null adapts it. Default: null'),
  augmentPMax: z
    .number()
    .gt(0)
    .max(1)
    .nullable()
    .describe(
      'most that an adapted p becomes; fakes take on the changes when it is high; null takes 0.8. Default: null',
    ),
  adaTarget: z
    .number()
    .gt(-1)
    .lt(1)
    .nullable()
    .describe('mean sign of D(real) that p is adapted to; null takes 0.6. Default: null'),
  adaInterval: z
    .int()
    .min(1)
    .max(10_000)
    .nullable()
    .describe('minibatches per adaptation of p; null takes 4. Default: null'),
  adaKimg: z
    .number()
    .min(1)
    .max(100_000)
    .nullable()
    .describe('thousands of images in which p can go from 0 to 1; null takes 500, with resumeFrom 100. Default: null'),
  diffAugmentPolicy: z
    .array(z.enum(['color', 'translation', 'cutout']))
    .min(1)
    .max(3)
    .nullable()
    .describe('changes of diffaugment; null takes all. Default: null'),
});

/** What is shown of a training besides losses and images. */
const watchSchema = z.strictObject({
  histograms: z
    .boolean()
    .describe('histograms of all weights of G and D in TensorBoard, at every snapshot. Default: false'),
});

type NetworkConfig = z.output<typeof networkSchema>;
type WatchConfig = z.output<typeof watchSchema>;
/** Fields that a resolved generator has only where they are used. */
type LaterConfig = TransferConfig & GammaSweepConfig & ConditionalConfig;
export type AugmentationConfig = z.output<typeof augmentationSchema>;

/** Fields that belong to the values of `augment` named. */
const augmentationFields = [
  ['augmentPipe', 'ada'],
  ['augmentP', 'ada'],
  ['augmentPMax', 'ada'],
  ['adaTarget', 'ada'],
  ['adaInterval', 'ada'],
  ['adaKimg', 'ada'],
  ['diffAugmentPolicy', 'diffaugment'],
] as const satisfies readonly (readonly [keyof AugmentationConfig, AugmentationConfig['augment']])[];

const adaptationFields = ['augmentPMax', 'adaTarget', 'adaInterval', 'adaKimg'] as const;

type Watched = NetworkConfig & Partial<AugmentationConfig & WatchConfig>;

/**
 * A resolved generator without augmentation has none of its fields, one without histograms not that one: its artefacts are
 * those from before there were any.
 */
const generatorSchema = z
  .strictObject({
    ...networkSchema.shape,
    ...augmentationSchema.shape,
    ...transferSchema.shape,
    ...gammaSweepSchema.shape,
    ...watchSchema.shape,
    ...conditionalSchema.shape,
  })
  .superRefine((g, ctx) => {
    const issue = (field: keyof AugmentationConfig, message: string): void => {
      ctx.addIssue({ code: 'custom', path: [field], message });
    };
    for (const [field, owner] of augmentationFields)
      if (g[field] !== null && g.augment !== owner)
        issue(field, `belongs to augment "${owner}", found "${g.augment}"; leave it out, or set augment`);
    if (g.augmentP !== null)
      for (const field of adaptationFields)
        if (g[field] !== null) issue(field, `adapts p, which augmentP fixes at ${g.augmentP}; leave out one of them`);
    if (g.diffAugmentPolicy !== null && new Set(g.diffAugmentPolicy).size < g.diffAugmentPolicy.length)
      issue('diffAugmentPolicy', `expected each change once, found ${g.diffAugmentPolicy.join(', ')}`);
  })
  .transform(({ histograms, ...unwatched }): Watched & LaterConfig => {
    const g = histograms ? { ...unwatched, histograms } : unwatched;
    if (g.augment !== 'none') return g;
    const { augment, augmentPipe, augmentP, augmentPMax, adaTarget, adaInterval, adaKimg, diffAugmentPolicy, ...rest } =
      g;
    return rest;
  })
  .transform((g): Watched & Partial<LaterConfig> => withoutIdleConditional(withoutIdleSweep(withoutIdleTransfer(g))));

const snapshotMetricSchema = z.strictObject({
  extractor: z
    .enum(['auto', 'irv2-real', 'inception-2015'])
    .describe(
      'network in whose features snapshots are compared: inception-2015 gives FID and needs inceptionWeights, irv2-real is the real-trained classifier (fd.irv2-real), auto takes the first when its weights are supplied. Default: auto',
    ),
  fakes: z.int().min(32).max(50_000).describe('generated images per measurement. Default: 2000'),
  inceptionWeights: z
    .string()
    .nullable()
    .describe('2015-12-05 Inception weights: the key that `echoforge import-weights` printed. Default: null'),
});

const synthesisSchema = z.strictObject({
  imagesPerClass: z.int().min(1).max(1_000_000).describe('seeds 1..N. Default: 25000'),
  psi: z.number().min(-4).max(4).describe('truncation; 1 none, above 1 extrapolates. Default: 1.6'),
  batchSize: z.int().min(1).max(512).describe('fixed: seed s always sits in slot s mod batchSize. Default: 8'),
  shardImages: z.int().min(1).max(10_000).describe('images per shard, a multiple of batchSize. Default: 496'),
});

const soloRules = ['argmax', 'threshold', 'quantile', 'entropy'] as const;

const filterFieldsSchema = z.strictObject({
  rule: z
    .enum([...soloRules, 'ensemble'])
    .describe(
      'what passes the real-trained classifier: the intended class likelier; its probability at least `threshold`; among the best `quantile` of all candidates of the class; likelier and surer than `entropyBits`; what passes `ensembleRule` by the mean probability of all `repeats` of that classifier. Default: argmax',
    ),
  ensembleRule: z
    .enum(soloRules)
    .nullable()
    .describe('rule that the mean probability of `ensemble` has to pass; null takes argmax. Default: null'),
  threshold: z.number().gt(0).lt(1).describe('least probability of the intended class. Default: 0.9'),
  quantile: z.number().gt(0).max(1).describe('share of the candidates of each class. Default: 0.5'),
  entropyBits: z.number().gt(0).max(1).describe('most entropy of the answer, bits; 1 is one half. Default: 0.5'),
  keepPerClass: z
    .int()
    .min(1)
    .nullable()
    .describe(
      'balanced draw per class; null takes the smaller accepted count, after top-up to the larger. Default: null',
    ),
  maxCandidates: z
    .int()
    .min(1)
    .max(2 ** 31 - 1) // the seeds above belong to the metrics
    .nullable()
    .describe('largest seed tried per class by top-up; null switches top-up off. Default: null'),
});

type FilterFields = z.output<typeof filterFieldsSchema>;

/** A resolved filter of one classifier has no `ensembleRule`: its artefacts are those from before there was any. */
const filterSchema = filterFieldsSchema
  .superRefine(({ rule, ensembleRule }, ctx) => {
    if (ensembleRule !== null && rule !== 'ensemble')
      ctx.addIssue({
        ...{ code: 'custom', path: ['ensembleRule'] },
        message: `belongs to rule "ensemble", found "${rule}"; leave it out, or set rule`,
      });
  })
  .transform(
    ({ ensembleRule, ...filter }): Omit<FilterFields, 'ensembleRule'> & Partial<Pick<FilterFields, 'ensembleRule'>> =>
      filter.rule === 'ensemble' ? { ...filter, ensembleRule } : filter,
  );

const evaluationSchema = z.strictObject({
  margin: z
    .number()
    .gt(0)
    .lt(0.5)
    .describe('non-inferiority margin on AUC, fixed before the test set is opened. Default: 0.05'),
  alpha: z.number().gt(0).lt(0.5).describe('one-sided level of the non-inferiority test. Default: 0.025'),
  ciLevel: z.number().gt(0.5).lt(1).describe('of every confidence interval. Default: 0.95'),
  bootstrapResamples: z.int().min(100).max(100_000).describe('of the AUC, by group. Default: 2000'),
  operatingPoint: z
    .enum(['half', 'youden', 'sensitivity'])
    .describe(
      'probability from which a model calls an image positive: 0.5; or chosen on its validation images, by the largest Youden index, or as the highest that reaches `targetSensitivity`. Default: half',
    ),
  targetSensitivity: z
    .number()
    .gt(0)
    .max(1)
    .describe('least sensitivity on validation of the operating point "sensitivity". Default: 0.95'),
});

/** Queues per step; a step without an entry uses the default of contract/names.ts. */
const queuesSchema = z.strictObject({
  prepareDataset: queue,
  trainClassifier: queue,
  trainGenerator: z
    .union([queue, z.strictObject({ negative: queue, positive: queue })])
    .describe('task queue of this step, or one per class: two devices train side by side'),
  measureSnapshot: queue,
  synthesize: queue,
  filterSynthetic: queue,
  evaluateModels: queue,
  publishReport: queue,
});

/** A complete study: the user's file over its preset over the defaults. */
export const studySchema = z
  .strictObject({
    studyId: slug.describe('unit of work; starting the same studyId again continues it'),
    preset: z
      .enum(['sound', 'nakata', 'demo'])
      .describe('the differences from these defaults that apply. Default: sound'),
    owner: z.string().max(200).describe('shown as a search attribute, never in an artefact. Default: empty'),
    seed: z
      .int()
      .min(0)
      .max(2 ** 31 - 1)
      .describe('root of every named random stream. Default: 1'),
    dataset: z.strictObject({ name: slug.describe('as given to `echoforge import --name`') }),
    classes: z.strictObject({ negative: folder, positive: folder }).describe('folder names; positive is the disease'),
    ignore: z.array(folder).max(100).describe('folders of the dataset that are not classes. Default: none'),
    image: imageSchema,
    prepare: prepareSchema,
    split: splitSchema,
    classifier: classifierSchema,
    generator: generatorSchema,
    snapshotMetric: snapshotMetricSchema,
    synthesis: synthesisSchema,
    filter: filterSchema,
    evaluation: evaluationSchema,
    repeats: z
      .int()
      .min(1)
      .max(100)
      .describe(
        'classifiers trained per variant, which differ in their random streams alone: the first measures, and filters unless `filter.rule` is ensemble; all score the test set. Default: 5; nakata and demo: 1',
      ),
    precision: z
      .enum(['fp32', 'bf16', 'auto'])
      .describe(
        'of convolutions and matrix products, in every step; bf16 is refused where the library would sum it in bf16 (a processor without AVX-512); auto takes bf16 where the processor multiplies it in compiled steps (AVX512-BF16), otherwise fp32. Default: fp32',
      ),
    execution: z
      .enum(['function', 'graph', 'eager'])
      .describe('compiled steps, compiled steps with the stock addon alone, or the readable truth. Default: function'),
    gates: z.array(z.enum(['snapshot', 'test-set'])).describe('where the study waits for a person. Default: none'),
    reuse: z.boolean().describe('take finished steps of other studies. Default: true'),
    queues: queuesSchema,
  })
  .superRefine((study, ctx) => {
    const issue = (path: (string | number)[], message: string): void => {
      ctx.addIssue({ code: 'custom', path, message });
    };
    const { generator: g, synthesis, filter, classifier, classes, split, image } = study;
    if (classes.negative === classes.positive) issue(['classes'], 'expected two different folders');
    for (const name of study.ignore)
      if (name === classes.negative || name === classes.positive) issue(['ignore'], `"${name}" is also a class`);
    for (const field of ['batchSize', 'microBatchSize'] as const) {
      const groups = g[field] / stddevGroup;
      const [below, above] = [Math.floor(groups) * stddevGroup, Math.ceil(groups) * stddevGroup];
      const advice = either(below, above, { min: stddevGroup, max: Infinity });
      if (below !== above)
        issue(['generator', field], `expected a multiple of the stddev group, ${stddevGroup}; ${advice}`);
    }
    const inGroups = g.batchSize % stddevGroup === 0 && g.microBatchSize % stddevGroup === 0;
    if (inGroups && g.batchSize % g.microBatchSize !== 0)
      issue(
        ['generator', 'microBatchSize'],
        `expected a multiple of ${stddevGroup} that divides batchSize ${g.batchSize}; set microBatchSize, or another batchSize`,
      );
    if (Math.round(g.totalKimg * 1000) < g.batchSize)
      issue(['generator', 'totalKimg'], `expected at least one minibatch of ${g.batchSize} images`);
    if (g.segmentTicks % g.snapshotTicks !== 0)
      issue(['generator', 'segmentTicks'], `expected a multiple of snapshotTicks ${g.snapshotTicks}`);
    for (const { field, message } of [...transferProblems(g, image.resolution), ...gammaSweepProblems(g)])
      issue(['generator', field], message);
    for (const message of conditionalProblems(g, study.queues.trainGenerator))
      issue(['generator', 'conditional'], message);
    if (synthesis.shardImages % synthesis.batchSize !== 0)
      issue(['synthesis', 'shardImages'], `expected a multiple of synthesis.batchSize ${synthesis.batchSize}`);
    if (filter.maxCandidates !== null && filter.maxCandidates < synthesis.imagesPerClass)
      issue(['filter', 'maxCandidates'], `expected at least synthesis.imagesPerClass ${synthesis.imagesPerClass}`);
    if (filter.keepPerClass !== null && filter.keepPerClass > (filter.maxCandidates ?? synthesis.imagesPerClass))
      issue(['filter', 'keepPerClass'], 'cannot exceed the number of candidates');
    if (filter.rule === 'ensemble' && study.repeats === 1)
      issue(
        ['filter', 'rule'],
        '"ensemble" takes the mean of several classifiers: expected repeats of 2 or more, found 1; set repeats, or another rule',
      );
    const { extractor, inceptionWeights } = study.snapshotMetric;
    if (inceptionWeights === null && extractor === 'inception-2015')
      issue(
        ['snapshotMetric', 'inceptionWeights'],
        'inception-2015 needs its weights: convert and import them (docs/operating.md), or leave the extractor at "auto"',
      );
    if (inceptionWeights !== null && extractor === 'irv2-real')
      issue(['snapshotMetric', 'extractor'], 'expected auto or inception-2015 with inceptionWeights, or no weights');
    if (inceptionWeights !== null && promisedSha256(inceptionWeights) === null)
      issue(
        ['snapshotMetric', 'inceptionWeights'],
        `expected a key that \`echoforge import-weights\` printed (weights/<sha256>/<file>), found "${inceptionWeights}"`,
      );
    if (split.validationFrom !== 'training' && split.validation + split.test >= 0.95)
      issue(['split'], 'validation and test leave nothing to train on');
    if (classifier.inputSize !== null && classifier.inputSize < image.resolution)
      issue(['classifier', 'inputSize'], `expected at least the resolution ${image.resolution}`);
    if (classifier.weights !== null && classifier.headEpochs > 0 && classifier.freeze !== 'none')
      issue(
        ['classifier', 'headEpochs'],
        `expected 0 with freeze "${classifier.freeze}", found ${classifier.headEpochs}: two phases decide themselves what stays frozen`,
      );
    if (classifier.weights === null && !classifier.allowRandomTrunk)
      for (const [field, frozen] of [
        ['freeze', classifier.freeze !== 'none'],
        ['bn', classifier.bn === 'frozen'],
      ] as const)
        if (frozen)
          issue(
            ['classifier', field],
            'freezing an untrained trunk needs classifier.weights, or allowRandomTrunk: true',
          );
  });

export type Study = z.output<typeof studySchema>;
export type GeneratorConfig = Study['generator'];
export type ClassifierConfig = Study['classifier'];
