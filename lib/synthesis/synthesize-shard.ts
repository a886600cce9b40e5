import { join } from 'node:path';
import type { EngineContext, LocalShard, SynthesizeShardTask } from '../../contract/engine.ts';
import { writeShard, type ShardMember } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadSampler } from '../generator/sampler.ts';
import { encodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';
import { withPngText } from '../png-metadata/png-text.ts';
import { memberOfSeed, sampleSeeds, seedBlocks } from './sample-seeds.ts';
import { seedStreams } from './seed-streams.ts';

/**
 * Generates the images of seeds `firstSeed`..`lastSeed` as one shard in the work directory, each PNG with its provenance. The
 * same seed gives the same bytes in every shard, for one batch size and engine fingerprint.
 *
 * Throws WeightsError when the file is not this generator's, the signal's reason when aborted (nothing is written then).
 */
export async function synthesizeShard(
  task: SynthesizeShardTask,
  context: EngineContext,
): Promise<LocalShard & { readonly images: number }> {
  const { generator, firstSeed, lastSeed, batchSize, psi } = task;
  const { resolution, channels } = generator.image;
  const total = lastSeed - firstSeed + 1;
  await context.emit({ type: 'progress', phase: 'load', done: 0, total });
  await loadEngine();
  const sampler = await loadSampler({ model: generator, settings: context.settings, batchSize });
  const members: ShardMember[] = [];
  // Images of one block are encoded, and the inputs of the next are drawn, on other threads while one is generated.
  let encoding: Promise<readonly ShardMember[]> = Promise.resolve([]);
  try {
    const blocks = seedBlocks({ firstSeed, lastSeed, batchSize });
    let block = 0;
    for await (const inputs of seedStreams(blocks, sampler)) {
      context.signal.throwIfAborted();
      const seeds = blocks[block++] ?? []; // one per inputs, in order
      const images = sampleSeeds(sampler, { seeds, psi, resolution, channels, inputs });
      members.push(...(await encoding));
      const made = images.flatMap((image, slot) => {
        const seed = (seeds[0] ?? 0) + slot;
        return seed >= firstSeed && seed <= lastSeed ? [memberOf(task, seed, image)] : [];
      });
      encoding = Promise.all(made);
      encoding.catch(() => undefined); // awaited later
      const done = members.length + made.length;
      await context.emit({ type: 'progress', phase: 'synthesize', done, total });
    }
    members.push(...(await encoding));
    context.signal.throwIfAborted();
  } finally {
    await Promise.allSettled([encoding]);
    sampler.dispose();
  }
  const name = `fakes-${task.side}-${firstSeed}-${lastSeed}`;
  const { workDir } = context;
  return await writeShard({
    tarFile: join(workDir, `${name}.tar`),
    indexFile: join(workDir, `${name}.jsonl`),
    members,
  });
}

async function memberOf(task: SynthesizeShardTask, seed: number, image: RawImage): Promise<ShardMember> {
  const text = { class: task.className, seed: String(seed), psi: String(task.psi), ...task.provenance };
  return {
    entry: { member: memberOfSeed(seed), side: task.side, source: null, groupId: null, seed },
    png: withPngText(await encodePng(image), text),
  };
}
