import type { GpuActivities } from '../contract/activities.ts';
import type { EngineSettings, SyntheticShardFiles } from '../contract/engine.ts';
import type { Fingerprint, SeedRange, SyntheticShard } from '../contract/manifests.ts';
import { causeOfEnd, withWorkDir } from './activity-support.ts';
import { infer, provenanceOf, settingsOf, type GpuDeps } from './inference.ts';
import { fetchGenerator, uploadShard } from './local-inputs.ts';
import { memoized, recalled, type MemoUnit } from './memo.ts';

export interface SynthesisDeps extends GpuDeps {
  readonly fingerprintOf: (settings: EngineSettings) => Promise<Fingerprint>;
}

/**
 * Makes the shards that are not in the store yet, and stores each while the engine makes the next. Interrupted by the workflow
 * (pause, cancel) it ends as cancelled; what was stored is found by the next attempt.
 */
export async function synthesizeShards(
  deps: SynthesisDeps,
  { study, side, weights, shards }: Parameters<GpuActivities['synthesizeShards']>[0],
): ReturnType<GpuActivities['synthesizeShards']> {
  const { store } = deps;
  const { studyId } = study;
  const settings = settingsOf(study);
  const fingerprint = await deps.fingerprintOf(settings);
  const { psi, batchSize } = study.synthesis;
  const className = study.classes[side];
  const provenance = provenanceOf(study, { weights, fingerprint });
  const unitOf = ({ firstSeed, lastSeed }: SeedRange): MemoUnit => {
    // One shard is the unit, by the name that it has always had.
    const identity = {
      activity: 'synthesizeShard',
      parts: [side, className, provenance, psi, batchSize, firstSeed, lastSeed],
      fingerprint,
    };
    return { studyId, identity };
  };
  const stored = new Map<number, SyntheticShard>();
  for (const range of shards) {
    const known = await recalled(store, unitOf(range));
    if (known) stored.set(range.firstSeed, known.result as SyntheticShard); // of `keep`
  }
  const keep = async (files: SyntheticShardFiles): Promise<void> => {
    const { firstSeed, lastSeed } = files;
    const upload = async (): Promise<SyntheticShard> => ({
      firstSeed,
      lastSeed,
      shard: await uploadShard(store, files),
    });
    stored.set(firstSeed, await memoized(store, unitOf(files), upload));
  };
  const missing = shards.filter(({ firstSeed }) => !stored.has(firstSeed));
  if (missing.length > 0)
    await withWorkDir(deps.workDir, async (workDir) => {
      const input = async () => ({
        generator: await fetchGenerator(deps, study, { weights, side }),
        ...{ side, className, psi, shards: missing, batchSize, provenance },
      });
      await besides(keep, (take) =>
        infer(deps, 'synthesizeShards', settings, input, workDir, async (event) => {
          if (event.type === 'syntheticShard') await take(event.shard);
        }),
      );
    });
  return shards.map(({ firstSeed, lastSeed }) => {
    const shard = stored.get(firstSeed);
    if (!shard) throw new Error(`the engine made no shard of seeds ${firstSeed} to ${lastSeed}`);
    return shard;
  });
}

/**
 * Runs `work`, which hands things out to be kept, each while it makes the next: handing one out waits only until the one before
 * is kept. Everything handed out is kept, or has failed to be, when this settles.
 * @throws CancelledFailure when the workflow asked the activity to stop; otherwise the error of `work` or the first of `keep`
 */
async function besides<T>(
  keep: (thing: T) => Promise<void>,
  work: (take: (thing: T) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  let keeping: Promise<void> = Promise.resolve();
  try {
    await work(async (thing) => {
      await keeping;
      keeping = keep(thing);
      keeping.catch(() => undefined); // awaited later
    });
    await keeping;
  } catch (error) {
    await keeping.catch(() => undefined);
    throw causeOfEnd(error);
  }
}
