import { describe, expect, it } from 'vitest';
import { planRetention } from '../../activities/training-session.ts';

const file = (at: number, snapshot: number | null): Parameters<typeof planRetention>[0][number] => ({
  at,
  file: { sha256: String(at).padStart(64, '0'), bytes: 1 },
  snapshot,
});

describe('planRetention', () => {
  it('keeps the last two, the best and every tenth snapshot over a long training', () => {
    let kept: Parameters<typeof planRetention>[0][number][] = [];
    for (let i = 0; i <= 40; i++) kept = planRetention([...kept, file(i * 80, i)], i >= 17 ? 17 * 80 : null).kept;
    expect(kept.map(({ at }) => at / 80)).toEqual([0, 10, 17, 20, 30, 39, 40]);
  });

  it('drops files that only resumed', () => {
    const { kept, dropped } = planRetention([file(1, null), file(2, null), file(3, null)], null);
    expect(kept.map(({ at }) => at)).toEqual([2, 3]);
    expect(dropped).toHaveLength(1);
  });

  it('keeps the first checkpoint of the place where a training is paused again and again', () => {
    const at = (n: number, name: string): Parameters<typeof planRetention>[0][number] => ({
      ...{ at: n, file: { sha256: name.padEnd(64, '0'), bytes: 1 }, snapshot: null },
    });
    let kept: Parameters<typeof planRetention>[0][number][] = [];
    for (const file of [at(1, 'a'), at(2, 'b'), at(2, 'c'), at(2, 'd'), at(2, 'e')])
      kept = planRetention([...kept, file], null).kept;
    expect(kept.map(({ file }) => file.sha256[0])).toEqual(['b', 'd', 'e']);
    expect(planRetention([...kept, at(3, 'f')], null).kept.map(({ file }) => file.sha256[0])).toEqual(['e', 'f']);
  });

  it('keeps the last two with a snapshot to roll back to, however often a training was interrupted since', () => {
    const files = [file(5, 1), file(10, 2), file(20, 3), file(21, null), file(22, null), file(23, null)];
    expect(planRetention(files, null).kept.map(({ at }) => at)).toEqual([10, 20, 22, 23]);
  });

  it('keeps the last two to roll back to beside those that were made while updates were skipped', () => {
    const skipping = [3, 4, 5].map((n) => ({ ...file(10 * n, n), skipping: true as const }));
    const files = [file(0, 0), file(10, 1), file(20, 2), ...skipping];
    expect(planRetention(files, null).kept.map(({ at }) => at)).toEqual([0, 10, 20, 40, 50]);
  });

  it('does not drop a file that a kept checkpoint shares', () => {
    const same = file(1, null);
    expect(planRetention([same, file(2, null), same], null).dropped).toEqual([]);
  });
});
