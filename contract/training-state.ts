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
  /** Checkpoints that retention has kept so far, oldest first. */
  kept: z.array(
    z.strictObject({
      /** Image count or epoch. */
      at: z.number(),
      file: blobRef,
      /** The snapshot's ordinal; null for a checkpoint that only resumes. */
      snapshot: z.int().nullable(),
      /** An update was skipped when it was last due: nothing to roll back to. Absent otherwise. */
      skipping: z.literal(true).exactOptional(),
      /** Event files up to and with this one; missing in states of earlier releases. */
      events: z.int().exactOptional(),
    }),
  ),
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
  snapshots: z.array(
    z.strictObject({
      ...{ nimg: z.number(), weights: blobRef, grid: blobRef },
      /** Mean MS-SSIM of the grid's images; absent when it has one image, and in states of earlier releases. */
      msSsim: z.number().exactOptional(),
    }),
  ),
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
      skipped: z.partialRecord(z.enum(['TrainG', 'RegG', 'TrainD', 'RegD']), z.int()).exactOptional(),
    }),
  ),
  /**
   * How many of the last ticks and snapshots are there only because the training ends here, and with them the last event
   * file. Absent where it does not end, or would have made them anyway.
   */
  end: z.strictObject({ ticks: z.int(), snapshots: z.int() }).exactOptional(),
  /** Absent when the training never rolled back. */
  rollBacks: z.array(z.strictObject({ fromNimg: z.number(), toNimg: z.number(), reason: z.string() })).exactOptional(),
  /** What the training waits for a person to decide on; absent when it does not. */
  trouble: z.strictObject({ nimg: z.number(), reason: z.string() }).exactOptional(),
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
  /** Missing in states of earlier releases. */
  recoveries: z
    .array(
      z.strictObject({ epoch: z.number(), loss: z.string(), learningRate: z.number(), nextLearningRate: z.number() }),
    )
    .default([]),
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
  recoveries: [],
  finished: false,
  parameters: null,
  pretrained: null,
  images: null,
};
