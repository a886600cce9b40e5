import type { CpuActivities, ScoredShard } from '../contract/activities.ts';
import {
  type ClassSide,
  type FilteredClass,
  type FilteredSetManifest,
  type PerClass,
  type ShardRef,
} from '../contract/manifests.ts';
import { readShard } from '../lib/dataset/shard.ts';
import { describeRuntime } from '../lib/fingerprint.ts';
import { getBlob, putBlob, putManifest } from '../lib/storage/blobs.ts';
import type { Candidate } from '../lib/synthesis/filter-rules.ts';
import { selectFiltered, type SelectedFakes } from '../lib/synthesis/filter.ts';
import { beating, withWorkDir } from './activity-support.ts';
import { fetchShards, jsonLines, parseJsonLines, type LocalDeps } from './local-inputs.ts';
import { createShardWriter } from './shard-writer.ts';

/** From scored fakes to the balanced training set of the second classifier. */
export function createSelectionActivities(deps: LocalDeps): Pick<CpuActivities, 'selectSynthetic'> {
  const { store, workDir } = deps;
  return {
    selectSynthetic: async ({ study, scored, ended }) =>
      await beating(
        async () =>
          await withWorkDir(workDir, async (dir) => {
            const { validation, validationFrom, test } = study.split;
            const selected = selectFiltered({
              candidates: {
                negative: await readCandidates(deps, scored.negative),
                positive: await readCandidates(deps, scored.positive),
              },
              filter: study.filter,
              keepPerClass: study.filter.keepPerClass,
              seed: study.seed,
              // The same ratio of validation to training images as the reals have.
              validationShare: validationFrom === 'training' ? validation : validation / (1 - test),
              ...(validationFrom && { validationFrom }),
              classes: study.classes,
            });
            const write = async (part: 'train' | 'validation'): Promise<PerClass<readonly ShardRef[]>> => ({
              negative: await writeKept(deps, {
                ...pick(selected, 'negative', part),
                scored: scored.negative,
                dir,
                shardImages: study.prepare.shardImages,
              }),
              positive: await writeKept(deps, {
                ...pick(selected, 'positive', part),
                scored: scored.positive,
                dir,
                shardImages: study.prepare.shardImages,
              }),
            });
            const describe = async (side: ClassSide): Promise<FilteredClass> => {
              const { verdicts, train, validation: validating, ...counts } = selected.classes[side];
              const blob = await putBlob(store, jsonLines(verdicts));
              return { ...counts, verdicts: blob, ended: ended[side], loss: null };
            };
            return await putManifest<FilteredSetManifest>(store, {
              kind: 'filteredSet',
              filter: study.filter,
              classes: { negative: await describe('negative'), positive: await describe('positive') },
              training: { train: await write('train'), validation: await write('validation') },
              degenerate: selected.degenerate,
              fingerprint: describeRuntime(),
            });
          }),
      ),
  };
}

const pick = (
  { classes }: SelectedFakes,
  side: ClassSide,
  part: 'train' | 'validation',
): { readonly name: string; readonly seeds: readonly number[] } => ({
  name: `${part}-${side}`,
  seeds: classes[side][part],
});

/** Scores by seed: the index of a shard says which seed a member is. */
async function readCandidates(deps: LocalDeps, shards: readonly ScoredShard[]): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const { shard, scores } of shards) {
    const rows = parseJsonLines<{ member: string; probability: number }>(await getBlob(deps.store, scores));
    const index = parseJsonLines<{ member: string; seed: number | null }>(await getBlob(deps.store, shard.index));
    const seeds = new Map(index.map(({ member, seed }) => [member, seed]));
    for (const { member, probability } of rows) {
      const seed = seeds.get(member);
      if (typeof seed !== 'number') throw new Error(`${member} was scored but has no seed in its shard's index`);
      candidates.push({ seed, probability });
    }
  }
  return candidates;
}

/** Copies the kept fakes, in the order of their seeds, into shards of their own. */
async function writeKept(
  deps: LocalDeps,
  input: {
    readonly scored: readonly ScoredShard[];
    readonly seeds: readonly number[];
    readonly name: string;
    readonly dir: string;
    readonly shardImages: number;
  },
): Promise<readonly ShardRef[]> {
  const wanted = new Set(input.seeds);
  const writer = createShardWriter(deps, input);
  const ordered = [...input.scored].sort((a, b) => a.firstSeed - b.firstSeed);
  for (const { shard } of ordered)
    for (const local of await fetchShards(deps, [shard]))
      for (const { entry, png } of await readShard(local))
        if (entry.seed !== null && wanted.has(entry.seed)) {
          const { member, side, seed } = entry;
          await writer.add({ entry: { member, side, seed, source: null, groupId: null }, png });
        }
  return await writer.finish();
}
