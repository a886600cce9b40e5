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

  it('does not drop a file that a kept checkpoint shares', () => {
    const same = file(1, null);
    expect(planRetention([same, file(2, null), same], null).dropped).toEqual([]);
  });
});
