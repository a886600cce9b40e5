import { upsertSearchAttributes } from '@temporalio/workflow';
import type { ScoredShard } from '../contract/activities.ts';
import {
  classSides,
  type ClassSide,
  type FilterEnd,
  type FilterLoss,
  type FilteredSetManifest,
  type RefTo,
  type SyntheticShard,
} from '../contract/manifests.ts';
import { acceptedSoFar, leastKept, planSeedShards } from '../contract/plan.ts';
import type { FilterSyntheticInput } from '../contract/steps.ts';
import { describeGpu, runStep } from './finished-steps.ts';
import { mapBounded } from './map-bounded.ts';
import { controlActivities, cpuActivities, gpuActivities } from './proxies.ts';
import { stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/**
 * The classifier trained on reals, or all its repeats, score every fake; agreeing ones are kept, drawn in equal numbers per class. With top-up,
 * further seeds are generated until enough are accepted or `maxCandidates` is spent. What the filter cost in variety is measured against the training reals.
 */
export async function filterSynthetic(input: FilterSyntheticInput): Promise<RefTo<FilteredSetManifest>> {
  const { resolved, dataset, classifier, ensemble, synthetic } = input;
  const { study } = resolved;
  const steps = controlStep('filter', 'images');
  upsertSearchAttributes(stageOf(study, 'filter'));
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, study.queues.filterSynthetic);
  const generating = gpuActivities(resolved.timeouts, study.queues.synthesize);
  const selecting = cpuActivities(resolved.timeouts, study.queues.prepareDataset);
  const description = {
    resolved,
    control,
    step: 'filter',
    queue: study.queues.filterSynthetic,
    otherQueues: [study.queues.synthesize, study.queues.prepareDataset],
    config: {
      filter: study.filter,
      split: study.split,
      synthesis: study.synthesis,
      measured: study.snapshotMetric.fakes,
      seed: study.seed,
      precision: study.precision,
      execution: study.execution,
    },
    inputs: [dataset, classifier, synthetic.negative.manifest, synthetic.positive.manifest, ...(ensemble ?? [])],
    describe: describeGpu(gpu, resolved),
  };
  return await runStep<FilteredSetManifest>(steps, description, async () => {
    let done = 0;
    const score = async (side: ClassSide, shards: readonly SyntheticShard[]): Promise<ScoredShard[]> =>
      await mapBounded(shards, 4, async (shard) => {
        await steps.whenRunning();
        const scored = await gpu.scoreShard({ study, side, classifier, ...(ensemble && { ensemble }), shard });
        done += shard.lastSeed - shard.firstSeed + 1;
        await steps.report({ done });
        return scored;
      });
    const scored: Record<ClassSide, ScoredShard[]> = { negative: [], positive: [] };
    const ended: Record<ClassSide, FilterEnd> = { negative: 'no top-up', positive: 'no top-up' };
    let total = 2 * study.synthesis.imagesPerClass;
    await steps.report({ total });
    for (const side of classSides) scored[side] = await score(side, synthetic[side].shards);

    const accepted = (side: ClassSide): number => acceptedSoFar(study.filter, scored[side]);
    const wanted =
      study.filter.keepPerClass ?? Math.max(leastKept(study.split), accepted('negative'), accepted('positive'));
    const limit = study.filter.maxCandidates ?? 0;
    for (const side of classSides) {
      for (const seeds of planSeedShards(study, study.synthesis.imagesPerClass + 1, limit)) {
        if (accepted(side) >= wanted) break;
        total += seeds.lastSeed - seeds.firstSeed + 1;
        await steps.report({
          total,
          detail: `topping up ${study.classes[side]}: ${accepted(side)} of ${wanted} accepted, seed ${seeds.firstSeed}`,
        });
        const weights = synthetic[side].snapshot.weights;
        const shards = await generating.synthesizeShards({ study, side, weights, shards: [seeds] });
        scored[side].push(...(await score(side, shards)));
      }
      if (accepted(side) >= wanted) ended[side] = 'enough accepted';
      else if (limit > 0) ended[side] = 'maxCandidates tried';
    }
    const filtered = await selecting.selectSynthetic({ study, scored, ended });
    const loss: Record<ClassSide, FilterLoss | null> = { negative: null, positive: null };
    for (const side of classSides) {
      await steps.report({ detail: `measuring what the filter cost: ${study.classes[side]}` });
      const shards = scored[side].map(({ shard }) => shard);
      loss[side] = await gpu.measureFilter({ study, side, dataset, classifier, shards, filtered });
    }
    return { manifest: await control.publishFilteredSet({ filtered, loss }) };
  });
}
