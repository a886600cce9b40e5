/** The few error classes of `lib/`. Each is a decision for its reader; activities/translate-errors.ts decides on retries. */

/** Thrown when input data (images, datasets, study inputs) cannot be used as it is; a person must change something. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/** Thrown when a configuration asks for something impossible that the schema alone cannot see. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** Thrown when a conditional write lost: somebody else moved `key` since it was read. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
  readonly key: string;
  constructor(key: string, options?: ErrorOptions) {
    super(`${key} was changed by somebody else since it was read`, options);
    this.key = key;
  }
}

/** Thrown when an object that must be there is not. */
export class NotFoundError extends Error {
  override readonly name = 'NotFoundError';
  readonly key: string;
  constructor(key: string, options?: ErrorOptions) {
    super(`${key} does not exist in the store`, options);
    this.key = key;
  }
}

/** Thrown when stored bytes do not have the hash that their reference promises. */
export class CorruptObjectError extends Error {
  override readonly name = 'CorruptObjectError';
  readonly key: string;
  constructor(args: { key: string; expectedSha256: string; actualSha256: string }) {
    super(
      `${args.key} is corrupt: sha256 expected ${args.expectedSha256}, got ${args.actualSha256}; delete it and run the step again`,
    );
    this.key = args.key;
  }
}

/** Thrown when a checkpoint or weight file does not belong to the network that should load it. */
export class WeightsError extends Error {
  override readonly name = 'WeightsError';
}

/** Where a classifier's training left all sense. */
export interface Divergence {
  /** From 1. */
  readonly epoch: number;
  readonly loss: number;
  readonly learningRate: number;
}

/** Thrown when a training loss or weight is no longer finite, or beyond all reason. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  /** Null where there is nothing to go back to. */
  readonly at: Divergence | null;
  constructor(message: string, at: Divergence | null = null) {
    super(message);
    this.at = at;
  }
}

/** Thrown when the store does not answer within its deadline after all retries. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** Thrown when one source file cannot become an image of the data set; the message is the reason that the report lists. */
export class RejectedImageError extends Error {
  override readonly name = 'RejectedImageError';
}
