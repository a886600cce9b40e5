import { join } from 'node:path';
import type { EngineContext, LocalShard, SynthesizeShardTask } from '../../contract/engine.ts';
import { writeShard, type ShardMember } from '../dataset/shard.ts';
import { loadEngine } from '../engine/backend.ts';
import { loadSampler } from '../generator/sampler.ts';
import { encodePng } from '../image/png.ts';
import type { RawImage } from '../image/raw-image.ts';
import { withPngText } from '../png-metadata/png-text.ts';
import { memberOfSeed, sampleSeeds, seedBlocks } from './sample-seeds.ts';

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
  try {
    for (const seeds of seedBlocks({ firstSeed, lastSeed, batchSize })) {
      context.signal.throwIfAborted();
      const images = sampleSeeds(sampler, { seeds, psi, resolution, channels });
      for (const [slot, image] of images.entries()) {
        const seed = (seeds[0] ?? 0) + slot;
        if (seed >= firstSeed && seed <= lastSeed) members.push(await memberOf(task, seed, image));
      }
      await context.emit({ type: 'progress', phase: 'synthesize', done: members.length, total });
    }
    context.signal.throwIfAborted();
  } finally {
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
