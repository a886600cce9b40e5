import { describe, expect, it } from 'vitest';
import type { GammaTrial, Snapshot } from '../../contract/manifests.ts';
import {
  bestGamma,
  estimateGeneratorParameters,
  groupShards,
  planSeedShards,
  planSegments,
  snapshotNimgs,
  tickNimgOf,
  totalNimgOf,
  trialOf,
  withGamma,
} from '../../contract/plan.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';

const study = (over: object = {}): ReturnType<typeof resolveStudyFile> =>
  resolveStudyFile({
    studyId: 'a',
    dataset: { name: 'b' },
    classes: { negative: 'benign', positive: 'malignant' },
    ...over,
  });

describe('planning', () => {
  it("takes the paper's tick length for the resolution, rounded up to whole minibatches", () => {
    expect(tickNimgOf(study().generator, 256)).toBe(8000);
    expect(tickNimgOf(study({ generator: { tickNimg: 100 } }).generator, 256)).toBe(128);
  });

  it('cuts a training into whole numbers of ticks and ends at the total', () => {
    const { generator } = study({ generator: { totalKimg: 400, tickNimg: 8000, snapshotTicks: 10, segmentTicks: 20 } });
    expect(planSegments(generator, 256, 0)).toEqual([160_000, 320_000, 400_000]);
    expect(planSegments(generator, 256, 8_160)).toEqual([160_000, 320_000, 400_000]);
    expect(planSegments(generator, 256, 320_000)).toEqual([400_000]);
    expect(planSegments(generator, 256, 400_000)).toEqual([]);
  });

  it('puts a snapshot at the start, at every interval and at the end', () => {
    const { generator } = study({ generator: { totalKimg: 200, tickNimg: 8000, snapshotTicks: 10, segmentTicks: 20 } });
    expect(snapshotNimgs(generator, 256)).toEqual([0, 80_000, 160_000, 200_000]);
  });

  it('puts snapshots where the reference has them, to within 1%, without its 128-image schedule (stylegan2.md 1.2)', () => {
    const reference = Array.from({ length: 311 }, (_, i) => 128 + 10 * i * 63 * 128); // 63 looks of 128 images reach 8000
    const names = [...reference, 25_000_000].map((nimg) => String(Math.floor(nimg / 1000)).padStart(6, '0'));
    expect(names.slice(0, 6)).toEqual(['000000', '000080', '000161', '000242', '000322', '000403']);
    expect(names.slice(-3)).toEqual(['024917', '024998', '025000']);
    const ours = snapshotNimgs(study().generator, 256);
    expect(ours.length).toBe(names.length + 2);
    reference.slice(1).forEach((nimg, i) => expect(Math.abs(nimg / ours[i + 1]! - 1)).toBeLessThan(0.01));
  });

  it('shows the total as a whole number of minibatches', () => {
    expect(totalNimgOf(study({ generator: { totalKimg: 1.001 } }).generator)).toBe(1024);
  });

  it('cuts seeds into shards without gap or overlap', () => {
    const shards = planSeedShards(study({ synthesis: { imagesPerClass: 1000 } }), 1, 1000);
    expect(shards).toEqual([
      { firstSeed: 1, lastSeed: 496 },
      { firstSeed: 497, lastSeed: 992 },
      { firstSeed: 993, lastSeed: 1000 },
    ]);
  });

  it('gives an activity four shards at most, in order', () => {
    const shards = planSeedShards(study({ synthesis: { imagesPerClass: 496 * 9 } }), 1, 496 * 9);
    expect(groupShards(shards).map(({ length }) => length)).toEqual([4, 4, 1]);
    expect(groupShards(shards).flat()).toEqual(shards);
    expect(groupShards([])).toEqual([]);
  });

  it('estimates the parameters of config-e at 256 px within a tenth of the exact 48.8 million', () => {
    expect(estimateGeneratorParameters(study())).toBeGreaterThan(0.9 * 48_763_412);
    expect(estimateGeneratorParameters(study())).toBeLessThan(1.1 * 48_763_412);
  });
});

describe('a sweep of the R1 weight', () => {
  const blob = { sha256: '', bytes: 0 };
  const metricOf = (value: number): NonNullable<Snapshot['metric']> => ({
    ...{ name: 'm', weights: '', value, reals: 2, fakes: 2 },
  });
  const snapshot = (nimg: number, value: number | null): Snapshot => ({
    ...{ nimg, weights: blob, grid: blob, metric: value === null ? null : metricOf(value) },
  });
  const trial = (gamma: number, value: number | null): GammaTrial => ({
    ...{ gamma, nimg: value === null ? null : 64, metric: value === null ? null : metricOf(value) },
    failure: value === null ? 'diverged' : null,
  });

  it('takes of a trial the lowest metric of what was trained and measured, of equals the earlier', () => {
    const snapshots = [snapshot(0, 1), snapshot(64, 9), snapshot(128, 5), snapshot(192, null), snapshot(256, 5)];
    expect(trialOf(2, snapshots)).toEqual({ gamma: 2, nimg: 128, metric: metricOf(5), failure: null });
    expect(trialOf(2, [snapshot(0, 1)])).toEqual({ gamma: 2, nimg: null, metric: null, failure: null });
  });

  it('chooses the lowest of the trials that were measured, of equals the earlier', () => {
    expect(bestGamma([trial(8, null), trial(4, 7), trial(2, 5), trial(1, 5), trial(0.5, 6)])).toBe(2);
    expect(bestGamma([trial(8, null)])).toBeNull();
  });

  it('trains a trial for the length of the sweep, the class for its own, both as a study without a sweep', () => {
    const { generator } = study({ generator: { totalKimg: 200, gammaSweep: [1, 2], gammaSweepKimg: 10 } });
    const plain = study({ generator: { totalKimg: 200, r1Gamma: 2 } }).generator;
    expect(withGamma(generator, 2)).toEqual(plain);
    expect(withGamma(generator, 2, 'sweep')).toEqual({ ...plain, totalKimg: 10 });
  });
});
