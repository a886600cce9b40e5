import type { EngineContext, ScoreShardsOutput, ScoreShardsTask } from '../../contract/engine.ts';
import { loadClassifier } from '../classifier/predict.ts';
import { loadShardImages } from '../dataset/shard.ts';

/** Slots per device pass; a score does not depend on it beyond the engine's rounding, so it is fixed. */
export const scoringBatchSize = 16;

/**
 * Probability of the positive class for every image of the shards, in shard and tar order. One shard's pixels are in memory
 * at a time.
 *
 * Throws WeightsError, CorruptObjectError, or the signal's reason when aborted.
 */
export async function scoreShards(task: ScoreShardsTask, context: EngineContext): Promise<ScoreShardsOutput> {
  await context.emit({ type: 'progress', phase: 'load', done: 0, total: task.shards.length });
  const { model, shards } = task;
  const classifier = await loadClassifier({ model, settings: context.settings, batchSize: scoringBatchSize });
  const scores: { readonly member: string; readonly probability: number }[] = [];
  try {
    for (const shard of shards) {
      const { images, entries } = await loadShardImages([shard]);
      const before = scores.length;
      for (let start = 0; start < images.length; start += scoringBatchSize) {
        context.signal.throwIfAborted();
        const probabilities = classifier.probabilities(images.slice(start, start + scoringBatchSize));
        entries.slice(start, start + scoringBatchSize).forEach(({ member }, i) => {
          const probability = probabilities[i];
          if (probability === undefined) throw new RangeError(`the classifier gave no probability for ${member}`);
          scores.push({ member, probability });
        });
        await context.emit({ type: 'progress', phase: 'score', done: scores.length, total: before + images.length });
      }
    }
    context.signal.throwIfAborted();
    return { scores };
  } finally {
    classifier.dispose();
  }
}
