import type { GammaTrial, SeedRange, Snapshot } from './manifests.ts';
import type { GeneratorConfig, Study } from './study.ts';

/** Pure planning: what will be trained, in which pieces. Shared by workflows, activities and the engine. */

/** Reporting interval of the reference by resolution, images (stylegan2.md 1.2). */
const paperTickNimg: Readonly<Record<number, number>> = {
  8: 28_000,
  16: 24_000,
  32: 20_000,
  64: 16_000,
  128: 12_000,
  256: 8000,
  512: 6000,
  1024: 4000,
};

/** Images per tick: a multiple of the batch, so that a tick ends between iterations. */
export function tickNimgOf(config: GeneratorConfig, resolution: number): number {
  const wanted = config.tickNimg ?? paperTickNimg[resolution] ?? 4000;
  return Math.max(1, Math.ceil(wanted / config.batchSize)) * config.batchSize;
}

/** Real images shown in all: totalKimg rounded up to whole minibatches. */
export function totalNimgOf(config: GeneratorConfig): number {
  return Math.ceil(Math.round(config.totalKimg * 1000) / config.batchSize) * config.batchSize;
}

/** Ends of the segments still to run, in images: whole numbers of ticks, the last one at the total. */
export function planSegments(config: GeneratorConfig, resolution: number, fromNimg: number): number[] {
  const total = totalNimgOf(config);
  const segment = tickNimgOf(config, resolution) * config.segmentTicks;
  const ends: number[] = [];
  for (let end = (Math.floor(fromNimg / segment) + 1) * segment; end < total; end += segment) ends.push(end);
  if (fromNimg < total) ends.push(total);
  return ends;
}

/** Snapshot positions: 0, every snapshotTicks ticks, and the end. */
export function snapshotNimgs(config: GeneratorConfig, resolution: number): number[] {
  const total = totalNimgOf(config);
  const every = tickNimgOf(config, resolution) * config.snapshotTicks;
  const at: number[] = [];
  for (let nimg = 0; nimg < total; nimg += every) at.push(nimg);
  return [...at, total];
}

/** Classifier input side: never below what InceptionResNetV2 needs. */
export function classifierInputSize(study: Study): number {
  return study.classifier.inputSize ?? Math.max(96, study.image.resolution);
}

/** Seed ranges of one class, `first` to `last` inclusive; shards start at multiples of the shard size plus 1. */
export function planSeedShards(study: Study, firstSeed: number, lastSeed: number): SeedRange[] {
  const size = study.synthesis.shardImages;
  const shards: SeedRange[] = [];
  for (let first = firstSeed; first <= lastSeed; first += size)
    shards.push({ firstSeed: first, lastSeed: Math.min(first + size - 1, lastSeed) });
  return shards;
}

/** Shards that one activity makes at most: the engine goes on while the one before is stored, and only the first is waited for. */
const shardsPerActivity = 4;

/** Consecutive shards, as the activities of synthesis make them. */
export function groupShards(shards: readonly SeedRange[]): SeedRange[][] {
  const groups = Math.ceil(shards.length / shardsPerActivity);
  return Array.from({ length: groups }, (_, i) => shards.slice(i * shardsPerActivity, (i + 1) * shardsPerActivity));
}

/** Parameters of G and D together, about (within a few percent): for the preflight only, the networks count exactly. */
export function estimateGeneratorParameters(study: Study): number {
  const { fmapBase, fmapMax, latentSize, mappingLayers } = study.generator;
  const maps = (side: number): number => Math.min(fmapMax, Math.floor((2 * fmapBase) / side));
  let count = mappingLayers * latentSize ** 2;
  for (let side = 4; side <= study.image.resolution; side *= 2) {
    const [below, here] = [maps(side / 2), maps(side)];
    // Two 3x3 convolutions each in G and D, G's style affines, D's 1x1 skip.
    count += 9 * (side > 4 ? below * here + here * here : here * here) * 2 + 3 * latentSize * here + below * here;
  }
  return count + 16 * maps(4) ** 2;
}

/** How many of `candidates` images of a class a quantile lets pass. */
export const quantileCount = (quantile: number, candidates: number): number => Math.ceil(quantile * candidates);

/** The rule that a probability has to pass, whether it is one classifier's or the mean of several. */
export const decidingRule = ({
  rule,
  ensembleRule,
}: Pick<Study['filter'], 'rule' | 'ensembleRule'>): Exclude<Study['filter']['rule'], 'ensemble'> =>
  rule === 'ensemble' ? (ensembleRule ?? 'argmax') : rule;

/** Images per class that must be kept at least: two can be trained on, and one more can validate unless one of them does. */
export const leastKept = ({
  validation,
  validationFrom,
}: Pick<Study['split'], 'validation' | 'validationFrom'>): number =>
  validation === 0 || validationFrom === 'training' ? 2 : 3;

/** Accepted images of one class so far. A quantile is taken of all candidates, not shard by shard. */
export function acceptedSoFar(
  filter: Study['filter'],
  shards: readonly { readonly firstSeed: number; readonly lastSeed: number; readonly accepted: number }[],
): number {
  if (decidingRule(filter) === 'quantile') {
    const candidates = shards.reduce((sum, { firstSeed, lastSeed }) => sum + lastSeed - firstSeed + 1, 0);
    return quantileCount(filter.quantile, candidates);
  }
  return shards.reduce((sum, { accepted }) => sum + accepted, 0);
}

/** Layers of a generator that take a style: 14 at 256 px. */
export const styleCountOf = (resolution: number): number => 2 * Math.log2(resolution) - 2;

/** The generator of a study that trains with this R1 weight: the class's own training or, with the length of the sweep, a trial. */
export function withGamma(
  { gammaSweep, gammaSweepKimg, ...generator }: GeneratorConfig,
  gamma: number,
  length: 'total' | 'sweep' = 'total',
): GeneratorConfig {
  const totalKimg = length === 'sweep' ? (gammaSweepKimg ?? generator.totalKimg) : generator.totalKimg;
  return { ...generator, r1Gamma: gamma, totalKimg };
}

/** What a trial came to: its snapshot with the lowest metric, the untrained one left out, of equals the earlier. */
export function trialOf(gamma: number, snapshots: readonly Snapshot[]): GammaTrial {
  const measured = snapshots.flatMap(({ nimg, metric }) => (nimg === 0 || metric === null ? [] : [{ nimg, metric }]));
  const least = Math.min(...measured.map(({ metric }) => metric.value));
  const best = measured.find(({ metric }) => metric.value === least);
  return { gamma, nimg: best?.nimg ?? null, metric: best?.metric ?? null, failure: null };
}

/** The R1 weight of the trial with the lowest metric, of equals the earlier; null when none was measured. */
export function bestGamma(trials: readonly GammaTrial[]): number | null {
  const measured = trials.flatMap(({ gamma, metric }) => (metric === null ? [] : [{ gamma, value: metric.value }]));
  const least = Math.min(...measured.map(({ value }) => value));
  return measured.find(({ value }) => value === least)?.gamma ?? null;
}
