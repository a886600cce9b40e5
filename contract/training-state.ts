import { z } from 'zod';

/** What the head pointer of a training says: everything a next attempt, and finally the manifest, needs. */

const blobRef = z.strictObject({ sha256: z.string().length(64), bytes: z.int().min(0) });
const fingerprint = z.strictObject({
  release: z.string(),
  node: z.string(),
  icu: z.string(),
  sharp: z.string(),
  vips: z.string(),
  tensorflow: z.string().nullable(),
  backend: z.enum(['tensorflow', 'wasm']).nullable(),
  device: z.string(),
  instructionSet: z.string(),
  threads: z.number(),
  execution: z.enum(['function', 'graph', 'eager']).nullable(),
  precision: z.enum(['fp32', 'bf16']).nullable(),
});
const common = {
  /** Null before the first checkpoint; otherwise the complete resumable state, a file of this training. */
  checkpoint: blobRef.nullable(),
  /** Checkpoints that retention has kept so far, oldest first: image count or epoch, and the snapshot's ordinal. */
  kept: z.array(z.strictObject({ at: z.number(), file: blobRef, snapshot: z.int().nullable() })),
  /** False after a checkpoint in mid-tick or mid-epoch. */
  complete: z.boolean(),
  events: z.array(blobRef),
  fingerprint: fingerprint.nullable(),
  fingerprintChanges: z.array(z.string()),
};
const perClass = z.strictObject({ negative: z.number(), positive: z.number() });

export const generatorStateSchema = z.strictObject({
  ...common,
  nimg: z.int().min(0),
  /** Absent when the training began with random weights. */
  start: z.strictObject({ sha256: z.string(), discriminator: z.enum(['taken', 'fresh']) }).optional(),
  /** Of G and D; null before the first segment has ended. */
  parameters: z.strictObject({ g: z.number(), d: z.number() }).nullable(),
  images: z.number(),
  realsGrid: blobRef.nullable(),
  snapshots: z.array(z.strictObject({ nimg: z.number(), weights: blobRef, grid: blobRef })),
  ticks: z.array(
    z.strictObject({
      tick: z.number(),
      nimg: z.number(),
      lossG: z.number(),
      lossD: z.number(),
      scoresReal: z.number(),
      scoresFake: z.number(),
      r1Penalty: z.number(),
      pathLength: z.number(),
      plPenalty: z.number(),
      rt: z.number().nullable().default(null), // missing in records of earlier releases
      augmentP: z.number().default(0),
    }),
  ),
});
export type GeneratorState = Readonly<z.output<typeof generatorStateSchema>>;

export const classifierStateSchema = z.strictObject({
  ...common,
  epoch: z.int().min(0),
  weights: blobRef.nullable(),
  weightsEpoch: z.number(),
  /** Validation scores of `weights`. */
  validation: blobRef.nullable(),
  history: z.array(
    z.strictObject({
      epoch: z.number(),
      learningRate: z.number(),
      trainLoss: z.number(),
      validationLoss: z.number(),
      validationAccuracy: z.number(),
      validationAuc: z.number(),
    }),
  ),
  finished: z.boolean(),
  parameters: z.number().nullable(),
  pretrained: z
    .strictObject({
      format: z.enum(['keras-h5', 'tfjs-layers', 'safetensors']),
      sha256: z.string(),
      official: z.string().nullable(),
    })
    .nullable()
    .default(null),
  images: z.strictObject({ train: perClass, validation: perClass }).nullable(),
});
export type ClassifierState = Readonly<z.output<typeof classifierStateSchema>>;

export const newGeneratorState: GeneratorState = {
  checkpoint: null,
  kept: [],
  complete: true,
  events: [],
  fingerprint: null,
  fingerprintChanges: [],
  nimg: 0,
  parameters: null,
  images: 0,
  realsGrid: null,
  snapshots: [],
  ticks: [],
};

export const newClassifierState: ClassifierState = {
  checkpoint: null,
  kept: [],
  complete: true,
  events: [],
  fingerprint: null,
  fingerprintChanges: [],
  epoch: 0,
  weights: null,
  weightsEpoch: 0,
  validation: null,
  history: [],
  finished: false,
  parameters: null,
  pretrained: null,
  images: null,
};
