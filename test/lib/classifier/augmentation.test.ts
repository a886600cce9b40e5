import { describe, expect, it } from 'vitest';
import { defaults } from '../../../contract/presets.ts';
import { resolveStudyFile } from '../../../contract/resolve-study.ts';
import { drawAlteration, writeAltered, type Alteration } from '../../../lib/classifier/augmentation.ts';

const neutral: Alteration = { mirror: false, zoom: 1, right: 0, down: 0, contrast: 1, brightness: 0 };
const place = { seed: 1, stream: 'classifier/real', epoch: 2, position: 5, side: 32 };

/** The image altered, and one value on either side of it that must stay as it is. */
function alter(rows: readonly (readonly number[])[], change: Partial<Alteration>): number[][] {
  const side = rows.length;
  const target = new Float32Array(side * side + 2).fill(-1);
  const data = Uint8Array.from(rows.flat());
  writeAltered(target, 1, { data, side, channels: 1, alteration: { ...neutral, ...change } });
  expect([target[0], target.at(-1)]).toEqual([-1, -1]);
  return rows.map((_, y) => [...target.subarray(1 + y * side, 1 + (y + 1) * side)]);
}
const across = [0, 1, 2, 3].map(() => [0, 40, 80, 120]);
const downwards = [0, 40, 80, 120].map((value) => [value, value, value, value]);

describe('an altered image', () => {
  it('is the source to the bit when nothing is altered', () => {
    const image = [0, 1, 2].map((y) => [0, 1, 2].map((x) => (97 * (3 * y + x)) % 256));
    expect(alter(image, {})).toEqual(image);
  });
  it('moves by whole pixels, repeating the edge, and is mirrored from left to right', () => {
    expect(alter(across, { right: 1 })[0]).toEqual([0, 0, 40, 80]);
    expect(alter(downwards, { down: -2 }).map(([value]) => value)).toEqual([80, 120, 120, 120]);
    expect(alter(across, { mirror: true })[0]).toEqual([120, 80, 40, 0]);
    expect(alter(across, { mirror: true, right: 1 })[0]).toEqual([120, 120, 80, 40]);
  });
  it('is enlarged and reduced about its centre, bilinearly, along both axes', () => {
    expect(alter(across, { zoom: 2 })[2]).toEqual([30, 50, 70, 90]);
    expect(alter(downwards, { zoom: 2 }).map(([value]) => value)).toEqual([30, 50, 70, 90]);
    expect(alter(across, { zoom: 0.5 })[0]).toEqual([0, 20, 100, 120]);
  });
  it('keeps its mean under contrast, gains brightness, and is cut at black and white', () => {
    expect(alter(across, { contrast: 0.5 })[0]).toEqual([30, 50, 70, 90]);
    expect(alter(across, { brightness: 10 })[0]).toEqual([10, 50, 90, 130]);
    expect(alter(across, { contrast: 2, brightness: 100 })[0]).toEqual([40, 120, 200, 255]);
    expect(alter(across, { brightness: -50 })[0]).toEqual([0, 0, 30, 70]);
  });
});

describe('drawAlteration', () => {
  const draws = Array.from({ length: 2000 }, (_, position) =>
    drawAlteration(defaults.classifier, { ...place, position }),
  );

  it('stays within what the study file allows, fills it, and is centred', () => {
    const range = (pick: (draw: Alteration) => number): number[] => {
      const values = draws.map(pick);
      return [Math.min(...values), values.reduce((a, b) => a + b) / values.length, Math.max(...values)];
    };
    const expectRange = ([low, mean, high]: number[], centre: number, reach: number): void => {
      expect(low).toBeGreaterThanOrEqual(centre - reach);
      expect(high).toBeLessThanOrEqual(centre + reach);
      expect(high! - low!).toBeGreaterThan(1.98 * reach);
      expect(Math.abs(mean! - centre)).toBeLessThan(0.05 * reach);
    };
    expectRange(
      range(({ zoom }) => zoom),
      1,
      0.1,
    );
    expectRange(
      range(({ contrast }) => contrast),
      1,
      0.1,
    );
    expectRange(
      range(({ brightness }) => brightness),
      0,
      25.5,
    );
    expect(new Set(draws.map(({ right }) => right))).toEqual(new Set([-3, -2, -1, 0, 1, 2, 3]));
  });
  it('never turns an image upside down', () => {
    for (const { mirror, zoom } of draws.slice(0, 100)) {
      const column = alter(downwards, { mirror, zoom }).map(([value]) => value);
      expect(column).toEqual([...column].sort((a, b) => a! - b!));
    }
    expect(draws.some(({ zoom }) => zoom <= 0)).toBe(false);
  });
  it('depends on seed, stream, epoch and position, and on nothing else', () => {
    expect(drawAlteration(defaults.classifier, place)).toEqual(drawAlteration(defaults.classifier, { ...place }));
    for (const other of [{ seed: 2 }, { stream: 'classifier/synthetic' }, { epoch: 3 }, { position: 6 }])
      expect(drawAlteration(defaults.classifier, { ...place, ...other })).not.toEqual(
        drawAlteration(defaults.classifier, place),
      );
  });
  it('only flips and shifts in nakata, by the draws that it always had', () => {
    const { classifier } = resolveStudyFile({
      ...{ studyId: 's', preset: 'nakata', dataset: { name: 'd' } },
      ...{ classes: { negative: 'b', positive: 'm' }, classifier: { allowRandomTrunk: true } },
    });
    const moves = [0, 1, 2, 3].map((position) => drawAlteration(classifier, { ...place, position }));
    // Recorded before zoom, brightness and contrast existed.
    const recorded = [
      { mirror: false, right: 2, down: -3 },
      { mirror: true, right: -3, down: -1 },
      { mirror: true, right: -2, down: -3 },
      { mirror: true, right: 2, down: 2 },
    ];
    expect(moves.map((move) => ({ ...move, brightness: Math.abs(move.brightness) }))).toEqual(
      recorded.map((move) => ({ ...neutral, ...move })),
    );
  });
});
