import type { GeneratorState } from '../../contract/training-state.ts';

/**
 * A training ends at its total, wherever that lies: with a tick and a snapshot that a longer training has not. They are kept
 * apart from what it goes on from, so that an extension leads to the same bytes whenever it is decided.
 */

/** The state of a training that goes on after its end, as if it had known from the start. */
export function withoutEnd({ end, ...state }: GeneratorState): GeneratorState {
  if (end === undefined) return state;
  const { ticks, snapshots, events } = state;
  return {
    ...state,
    ticks: ticks.slice(0, ticks.length - end.ticks),
    snapshots: snapshots.slice(0, snapshots.length - end.snapshots),
    events: events.slice(0, -1),
  };
}
