/**
 * Timeout profiles. Each number names the failure that it detects. `test` is the same shape in seconds, so that kill tests
 * take seconds; the worker's configuration chooses, and resolveStudy hands the choice to the workflows.
 */

export type TimeoutProfileName = 'production' | 'test';

/** Durations in milliseconds. */
export interface ActivityTimeouts {
  /** Bounds one attempt: a process that beats but never ends. */
  readonly startToCloseMs: number;
  /** A dead or stalled worker is noticed after this long without a beat. */
  readonly heartbeatMs: number | null;
  readonly retryInitialMs: number;
  readonly retryMaximumMs: number;
}

export interface TimeoutProfile {
  /** Store and Temporal round trips. */
  readonly control: ActivityTimeouts;
  /** Minutes of preparation, statistics, rendering. */
  readonly cpu: ActivityTimeouts;
  /** One training segment. */
  readonly training: ActivityTimeouts;
  /** A shard of synthesis, scoring, measuring. */
  readonly gpu: ActivityTimeouts;
  /** Pauses between two looks whether somebody serves the queues of a running step: doubled from `first` to `longest`. */
  readonly queueLooks: { readonly firstMs: number; readonly longestMs: number };
}

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const timeoutProfiles: Readonly<Record<TimeoutProfileName, TimeoutProfile>> = {
  production: {
    control: { startToCloseMs: 2 * minute, heartbeatMs: null, retryInitialMs: second, retryMaximumMs: 30 * second },
    cpu: { startToCloseMs: hour, heartbeatMs: minute, retryInitialMs: 5 * second, retryMaximumMs: 2 * minute },
    // A segment of the published size takes two hours on a GPU and days without one. It saves itself every half hour; a dead
    // process is noticed by its heartbeat, a stuck one by the worker's limits (workers/engine-host.ts).
    training: {
      ...{ startToCloseMs: 14 * day, heartbeatMs: 2 * minute },
      ...{ retryInitialMs: 5 * second, retryMaximumMs: 5 * minute },
    },
    // Four hours without an end is a mistake, two minutes without a beat a dead process.
    gpu: { startToCloseMs: 4 * hour, heartbeatMs: 2 * minute, retryInitialMs: 5 * second, retryMaximumMs: 5 * minute },
    // A look is eight events: four days of training take about a hundred.
    queueLooks: { firstMs: minute, longestMs: hour },
  },
  test: {
    control: { startToCloseMs: 20 * second, heartbeatMs: null, retryInitialMs: 500, retryMaximumMs: 2 * second },
    cpu: { startToCloseMs: 10 * minute, heartbeatMs: 6 * second, retryInitialMs: 500, retryMaximumMs: 2 * second },
    training: { startToCloseMs: 20 * minute, heartbeatMs: 6 * second, retryInitialMs: 500, retryMaximumMs: 2 * second },
    gpu: { startToCloseMs: 20 * minute, heartbeatMs: 6 * second, retryInitialMs: 500, retryMaximumMs: 2 * second },
    queueLooks: { firstMs: 2 * second, longestMs: minute },
  },
};

/** Failures that no retry mends: a person or another input must change something. */
export const nonRetryableErrorTypes = [
  'StudyFileError',
  'ToolInputError',
  'DatasetError',
  'ConfigurationError',
  'WeightsError',
  'DivergedError',
  'NotFoundError',
  'CorruptObjectError',
] as const;
