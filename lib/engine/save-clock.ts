/** Says when a training has gone on for long without a checkpoint. No result depends on it: a training may stop anywhere. */
export interface SaveClock {
  readonly isDue: () => boolean;
  /** A checkpoint was made. */
  readonly restart: () => void;
}

const halfHourMs = 1_800_000;

/** A kill is to cost half an hour at most, however slow the machine and however rare the snapshots are. */
export function startSaveClock(everyMs = halfHourMs): SaveClock {
  let last = performance.now();
  return {
    isDue: () => performance.now() - last >= everyMs,
    restart: () => {
      last = performance.now();
    },
  };
}
