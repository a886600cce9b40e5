/**
 * Learning rate on a plateau, early stopping and the best epoch, with Keras' rules: `ReduceLROnPlateau(factor=0.1)` counts an
 * improvement of more than 1e-4, `EarlyStopping` and the best epoch any improvement. Plain data, so that it resumes exactly.
 */

export interface ScheduleState {
  readonly learningRate: number;
  /** Loss that the plateau rule compares with; null before the first epoch. */
  readonly plateauLoss: number | null;
  readonly plateauWait: number;
  readonly bestLoss: number | null;
  /** Epoch (from 1) of the lowest validation loss; 0 before the first. */
  readonly bestEpoch: number;
  /** Complete epochs before the phase under way: early stopping counts from there. */
  readonly fromEpoch: number;
  readonly stopped: boolean;
}

export const plateauFactor = 0.1;
const plateauMinDelta = 1e-4;

export function startSchedule(learningRate: number): ScheduleState {
  const none = { plateauLoss: null, plateauWait: 0, bestLoss: null, bestEpoch: 0 };
  return { ...none, learningRate, fromEpoch: 0, stopped: false };
}

/** Another phase begins after `fromEpoch` epochs: its own rate and patience; the best epoch of all phases stays the best. */
export function startPhase(
  state: ScheduleState,
  phase: { readonly fromEpoch: number; readonly learningRate: number },
): ScheduleState {
  const { fromEpoch, learningRate } = phase;
  return { ...state, learningRate, fromEpoch, plateauLoss: null, plateauWait: 0, stopped: false };
}

/** State after `epoch` (from 1) ended with `validationLoss`. A patience of 0 switches its rule off. */
export function advanceSchedule(
  state: ScheduleState,
  result: { readonly epoch: number; readonly validationLoss: number },
  patience: { readonly plateau: number; readonly earlyStopping: number },
): ScheduleState {
  const { epoch, validationLoss: loss } = result;
  const isBest = state.bestLoss === null || loss < state.bestLoss;
  const bestEpoch = isBest ? epoch : state.bestEpoch;
  const offPlateau = state.plateauLoss === null || loss < state.plateauLoss - plateauMinDelta;
  const waited = offPlateau ? 0 : state.plateauWait + 1;
  const reduce = patience.plateau > 0 && waited >= patience.plateau;
  return {
    learningRate: reduce ? state.learningRate * plateauFactor : state.learningRate,
    plateauLoss: offPlateau ? loss : state.plateauLoss,
    plateauWait: reduce ? 0 : waited,
    bestLoss: isBest ? loss : state.bestLoss,
    bestEpoch,
    fromEpoch: state.fromEpoch,
    stopped: patience.earlyStopping > 0 && epoch - Math.max(bestEpoch, state.fromEpoch) >= patience.earlyStopping,
  };
}
