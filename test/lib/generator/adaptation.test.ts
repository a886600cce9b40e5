import { describe, expect, it } from 'vitest';
import type { GeneratorConfig } from '../../../contract/study.ts';
import { adapted, firstAdaptation, type Adaptation } from '../../../lib/generator/adaptation.ts';
import { smallConfig } from './small.ts';

const ada: GeneratorConfig = { ...smallConfig, augment: 'ada', batchSize: 32 };

/** p after minibatches with the given r_t. */
function after(rts: readonly number[], change: Partial<GeneratorConfig> = {}, p = 0): Adaptation {
  const config = { ...ada, ...change };
  return rts.reduce((now, rt) => adapted(now, rt, config), { ...firstAdaptation(config)!, p });
}
const times = (count: number, rt: number): number[] => new Array<number>(count).fill(rt);

describe('adaptation of p', () => {
  it('starts at 0, at the fixed p, or at 1 for diffaugment; there is none without augmentation', () => {
    expect(firstAdaptation(ada)?.p).toBe(0);
    expect(firstAdaptation({ ...ada, augmentP: 0.3 })?.p).toBe(0.3);
    expect(firstAdaptation({ ...ada, augment: 'diffaugment' })?.p).toBe(1);
    expect(firstAdaptation(smallConfig)).toBeNull();
  });
  it('moves once per interval, by the images of the interval over 500 kimg', () => {
    expect(after(times(3, 0.9)).p).toBe(0);
    expect(after(times(4, 0.9)).p).toBeCloseTo((32 * 4) / 500_000, 12);
    expect(after(times(4, 0.9), { adaKimg: 100 }).p).toBeCloseTo((32 * 4) / 100_000, 12);
    const resumed = { resumeFrom: 'a'.repeat(64) }; // from trained weights in 100 kimg (stylegan2.md 5.1)
    expect(after(times(4, 0.9), resumed).p).toBeCloseTo((32 * 4) / 100_000, 12);
    expect(after(times(4, 0.9), { ...resumed, adaKimg: 200 }).p).toBeCloseTo((32 * 4) / 200_000, 12);
    expect(after(times(2, 0.9), { adaInterval: 2 }).p).toBeCloseTo((32 * 2) / 500_000, 12);
  });
  it('rises while D over-fits and falls while it does not; stays at the target', () => {
    const down = 0.5 - (32 * 4) / 500_000;
    expect(after(times(4, 0.61), {}, 0.5).p).toBeGreaterThan(0.5);
    expect(after(times(4, 0.59), {}, 0.5).p).toBeCloseTo(down, 12);
    expect(after(times(4, 0.59), { adaTarget: 0.5 }, 0.5).p).toBeGreaterThan(0.5);
    expect(after([0.5, 0.5, 0.5, 0.5], { adaTarget: 0.5 }, 0.5).p).toBe(0.5);
  });
  it('looks at the mean of the interval, not at its last minibatch', () => {
    expect(after([1, 1, 1, 0], {}, 0.5).p).toBeGreaterThan(0.5);
    expect(after([0, 0, 0, 1], {}, 0.5).p).toBeLessThan(0.5);
  });
  it('stays between 0 and 0.8, or the limit given', () => {
    expect(after(times(4, -1)).p).toBe(0);
    expect(after(times(4, 1), { adaKimg: 1 }, 0.79).p).toBe(0.8);
    expect(after(times(4, 1), { adaKimg: 1, augmentPMax: 1 }, 0.99).p).toBe(1);
  });
  it('begins each interval anew', () => {
    expect(after(times(4, 1))).toMatchObject({ rtSum: 0, minibatches: 0 });
  });
  it('leaves a fixed p alone', () => {
    expect(after(times(8, 1), { augmentP: 0.2 }, 0.2).p).toBe(0.2);
    expect(after(times(8, 1), { augment: 'diffaugment' }, 1).p).toBe(1);
  });
});
