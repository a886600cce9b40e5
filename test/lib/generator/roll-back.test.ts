import { describe, expect, it } from 'vitest';
import { generatorStateSchema, newGeneratorState, type GeneratorState } from '../../../contract/training-state.ts';
import {
  awaitingDecision,
  describeTraining,
  mayRollBack,
  mostDiverse,
  rolledBack,
} from '../../../lib/generator/roll-back.ts';

const blob = (name: string): { sha256: string; bytes: number } => ({ sha256: name.padEnd(64, '0'), bytes: 1 });
const tick = (nimg: number, rt = 0.2): GeneratorState['ticks'][number] => ({
  ...{ tick: nimg / 10, nimg, lossG: 1, lossD: 1, scoresReal: 0, scoresFake: 0, r1Penalty: 0, pathLength: 0 },
  ...{ plPenalty: 0, rt, augmentP: 0 },
});
const snapshot = (nimg: number, msSsim = 0.4): GeneratorState['snapshots'][number] => ({
  ...{ nimg, weights: blob(`aa${nimg}`), grid: blob(`bb${nimg}`), msSsim },
});
const kept = (at: number, snapshotOf: number | null, events: number): GeneratorState['kept'][number] => ({
  ...{ at, file: blob(`cc${at}`), snapshot: snapshotOf, events },
});

/** Snapshots at 0, 20 and 40; interrupted at 45. */
const state: GeneratorState = {
  ...newGeneratorState,
  ...{ nimg: 45, complete: false, checkpoint: blob('cc45') },
  kept: [kept(0, 0, 1), kept(20, 1, 2), kept(40, 2, 4), kept(45, null, 5)],
  events: ['e0', 'e20', 'e25', 'e40', 'e45'].map(blob),
  ticks: [10, 20, 30, 40].map((nimg) => tick(nimg)),
  snapshots: [snapshot(0, 0.1), snapshot(20), snapshot(40, 0.5)],
};
const trouble = { nimg: 50, reason: 'it broke' };

describe('rolledBack', () => {
  it('goes to the last checkpoint that counts and forgets what came after it', () => {
    const { state: earlier, dropped } = rolledBack(state, trouble)!;
    expect(earlier).toMatchObject({ nimg: 40, complete: true, checkpoint: blob('cc40') });
    expect(earlier.events).toEqual(['e0', 'e20', 'e25', 'e40'].map(blob));
    expect(earlier.rollBacks).toEqual([{ fromNimg: 50, toNimg: 40, reason: 'it broke' }]);
    expect(dropped).toEqual([blob('cc45')]);
  });
  it('goes one further when the training has been there before', () => {
    const second = rolledBack(rolledBack(state, trouble)!.state, trouble)!;
    expect(second.state).toMatchObject({ nimg: 20, checkpoint: blob('cc20'), events: ['e0', 'e20'].map(blob) });
    expect(second.state.ticks.map(({ nimg }) => nimg)).toEqual([10, 20]);
    expect(second.state.snapshots.map(({ nimg }) => nimg)).toEqual([0, 20]);
    expect(second.dropped).toEqual([blob('cc40')]);
    expect(rolledBack({ ...state, kept: state.kept.slice(0, 1) }, trouble)!.state.nimg).toBe(0);
  });
  it('after a decision goes on from where it waited, and never below that', () => {
    /** Image counts that it goes back to when it fails again and again without a further checkpoint. */
    const targets = (from: GeneratorState, times: number): number[] => {
      let now = from;
      return Array.from({ length: times }, () => (now = rolledBack(now, trouble)!.state).nimg);
    };
    expect(targets(state, 6)).toEqual([40, 20, 20, 20, 20, 20]);
    // A checkpoint that it made since is where it goes first; retention may have dropped the one it went on from.
    const resumed = rolledBack(rolledBack(rolledBack(state, trouble)!.state, trouble)!.state, trouble)!.state;
    const further = { ...resumed, nimg: 80, kept: [kept(0, 0, 1), kept(60, 2, 4), kept(80, 3, 5)] };
    expect(targets(further, 1)).toEqual([80]);
    expect(targets({ ...further, kept: [kept(0, 0, 1), kept(20, 1, 2), kept(40, 2, 3)] }, 1)).toEqual([40]);
  });
  it('waits for a decision at its last good checkpoint, however often it was interrupted since', () => {
    const troubled = { ...state, trouble };
    const waiting = awaitingDecision(troubled)!;
    expect(waiting.state).toMatchObject({ nimg: 40, complete: true, checkpoint: blob('cc40'), trouble });
    expect(waiting.state).not.toHaveProperty('rollBacks');
    expect(waiting.dropped).toEqual([blob('cc45')]);
    expect(awaitingDecision(waiting.state)).toBeNull();
  });
  it('goes to the same place however often the training was interrupted since', () => {
    const calm = { ...state, nimg: 40, kept: state.kept.slice(0, 3), events: state.events.slice(0, 4) };
    expect(rolledBack(calm, trouble)!.state).toEqual(rolledBack(state, trouble)!.state);
  });
  it('ends the wait for a decision, and has nowhere to go without a checkpoint', () => {
    expect(rolledBack({ ...state, trouble }, trouble)!.state).not.toHaveProperty('trouble');
    expect(rolledBack({ ...state, kept: [] }, trouble)).toBeNull();
  });
  it('gives a state that the schema takes, as it takes those of earlier releases', () => {
    const { state: earlier } = rolledBack(state, trouble)!;
    expect(generatorStateSchema.parse(JSON.parse(JSON.stringify(earlier)))).toEqual(earlier);
    const old = { ...state, kept: [{ at: 20, file: blob('cc20'), snapshot: 1 }], snapshots: [] };
    expect(generatorStateSchema.parse(old)).toEqual(old);
    expect(rolledBack(old, trouble)!.state.events).toEqual(state.events);
  });
});

it('a training rolls back twice by itself, and twice more after each decision', () => {
  const after = (count: number): GeneratorState => {
    const rollBacks = Array.from({ length: count }, () => ({ fromNimg: 2, toNimg: 1, reason: '' }));
    return { ...state, rollBacks };
  };
  expect([0, 1, 2].map((count) => mayRollBack(after(count), 0))).toEqual([true, true, false]);
  expect([2, 3, 4].map((count) => mayRollBack(after(count), 1))).toEqual([true, true, false]);
});

describe('describeTraining', () => {
  it('has nothing to say of a training in good order', () => {
    expect(describeTraining(state)).toEqual([]);
    expect(describeTraining({ ...state, ticks: [tick(10, 0.95), tick(20, 0.97), tick(30, 0.8)] })).toEqual([]);
  });
  it('counts skipped updates and tells each roll-back', () => {
    const skipping = [
      { ...tick(10), skipped: { TrainG: 2 } },
      { ...tick(20), skipped: { TrainD: 1, RegD: 1 } },
    ];
    const [skips, back] = describeTraining({ ...rolledBack(state, trouble)!.state, ticks: skipping });
    expect(skips).toContain('4 updates skipped');
    expect(back).toBe('went back from 0.05 to 0.04 kimg, on with other draws: it broke');
  });
  it('names over-fitting after three ticks with r_t near 1', () => {
    const [note] = describeTraining({ ...state, ticks: [10, 20, 30].map((nimg) => tick(nimg, 0.93)) });
    expect(note).toContain('D over-fits: r_t 0.93');
  });
  it('names images that grow alike, the untrained ones left out', () => {
    const snapshots = [snapshot(0, 0), snapshot(20, 0.3), snapshot(40, 0.7)];
    expect(mostDiverse({ ...state, snapshots })).toBeCloseTo(0.7, 12);
    expect(describeTraining({ ...state, snapshots })).toEqual(['images grow alike: MS-SSIM 0.700, once 0.300']);
  });
});
