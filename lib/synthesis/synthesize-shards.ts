import { join } from 'node:path';
import type { EngineContext, SynthesizeShardsTask, SyntheticShardFiles } from '../../contract/engine.ts';
import type { SeedRange } from '../../contract/manifests.ts';
import { writeShard, type ShardMember } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadSampler } from '../generator/sampler.ts';
import { encodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';
import { withPngText } from '../png-metadata/png-text.ts';
import { memberOfSeed, sampleSeeds, seedBlocks } from './sample-seeds.ts';
import { seedStreams } from './seed-streams.ts';

/**
 * Generates the images of ranges of seeds, one shard per range in the work directory, each PNG with its provenance; hands every
 * shard over as soon as it is whole. The same seed gives the same bytes in every shard, for one batch size and engine fingerprint.
 *
 * Throws WeightsError when the file is not this generator's, the signal's reason when aborted (the shard begun is not written).
 */
export async function synthesizeShards(
  task: SynthesizeShardsTask,
  context: EngineContext,
): Promise<readonly SyntheticShardFiles[]> {
  const { generator, batchSize, psi } = task;
  const { resolution, channels } = generator.image;
  const total = task.shards.reduce((sum, { firstSeed, lastSeed }) => sum + lastSeed - firstSeed + 1, 0);
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadSampler({ model: generator, settings: context.settings, batchSize });
  const shards: SyntheticShardFiles[] = [];
  let members: ShardMember[] = [];
  // Images of one block are encoded, and the inputs of the next are drawn, on other threads while one is generated.
  let encoding: Promise<readonly ShardMember[]> = Promise.resolve([]);
  let done = 0;
  try {
    const blocks = blocksOf(task);
    let block = 0;
    for await (const inputs of seedStreams(
      blocks.map(({ seeds }) => seeds),
      sampler,
    )) {
      context.signal.throwIfAborted();
      const { range, seeds, isLast } = blocks[block++] as Block; // one per inputs, in order
      const images = sampleSeeds(sampler, { seeds, psi, resolution, channels, inputs });
      members.push(...(await encoding));
      const made = images.flatMap((image, slot) => {
        const seed = (seeds[0] ?? 0) + slot;
        return seed >= range.firstSeed && seed <= range.lastSeed ? [memberOf(task, seed, image)] : [];
      });
      encoding = Promise.all(made);
      encoding.catch(() => undefined); // awaited later
      done += made.length;
      await context.emit({ type: 'progress', phase: 'synthesize', done, total });
      if (!isLast) continue;
      members.push(...(await encoding));
      context.signal.throwIfAborted();
      const shard = { ...range, ...(await writeShard({ ...filesOf(task, range, context.workDir), members })) };
      await context.emit({ type: 'syntheticShard', shard });
      shards.push(shard);
      members = [];
      encoding = Promise.resolve([]);
    }
  } finally {
    await Promise.allSettled([encoding]);
    sampler.dispose();
  }
  return shards;
}

interface Block {
  readonly range: SeedRange;
  /** A whole batch. */
  readonly seeds: readonly number[];
  /** Of its range. */
  readonly isLast: boolean;
}

/** Of all ranges in turn; a batch that two of them share is generated for each. */
const blocksOf = ({ shards, batchSize }: SynthesizeShardsTask): Block[] =>
  shards.flatMap((range) =>
    seedBlocks({ ...range, batchSize }).map((seeds, i, { length }) => ({ range, seeds, isLast: i === length - 1 })),
  );

function filesOf({ side }: SynthesizeShardsTask, { firstSeed, lastSeed }: SeedRange, workDir: string) {
  const name = `fakes-${side}-${firstSeed}-${lastSeed}`;
  return { tarFile: join(workDir, `${name}.tar`), indexFile: join(workDir, `${name}.jsonl`) };
}

async function memberOf(task: SynthesizeShardsTask, seed: number, image: RawImage): Promise<ShardMember> {
  const text = { class: task.className, seed: String(seed), psi: String(task.psi), ...task.provenance };
  return {
    entry: { member: memberOfSeed(seed), side: task.side, source: null, groupId: null, seed },
    png: withPngText(await encodePng(image), text),
  };
}
