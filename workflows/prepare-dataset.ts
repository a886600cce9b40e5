import { upsertSearchAttributes } from '@temporalio/workflow';
import type { DatasetManifest, IngestedShard, RefTo } from '../contract/manifests.ts';
import type { PrepareDatasetInput } from '../contract/steps.ts';
import { describeCpu, runStep } from './finished-steps.ts';
import { mapBounded } from './map-bounded.ts';
import { controlActivities, cpuActivities } from './proxies.ts';
import { stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/** Source images of one folder per class become square PNG in shards, grouped and split into train, validation and test. */
export async function prepareDataset({ resolved }: PrepareDatasetInput): Promise<RefTo<DatasetManifest>> {
  const { study, source } = resolved;
  const steps = controlStep('dataset', 'images');
  upsertSearchAttributes(stageOf(study, 'dataset'));
  const cpu = cpuActivities(resolved.timeouts, study.queues.prepareDataset);
  const description = {
    resolved,
    control: controlActivities(resolved.timeouts),
    step: 'dataset',
    queue: study.queues.prepareDataset,
    config: {
      classes: study.classes,
      ignore: study.ignore,
      image: study.image,
      prepare: study.prepare,
      split: study.split,
      seed: study.seed,
    },
    inputs: [source],
    describe: describeCpu(cpu),
  };
  return await runStep<DatasetManifest>(steps, description, async () => {
    const { shards, files } = await cpu.planIngest({ study, source });
    let done = 0;
    await steps.report({ total: files });
    const ingested = await mapBounded(range(shards), 4, async (shard): Promise<RefTo<IngestedShard>> => {
      await steps.whenRunning();
      const result = await cpu.ingestShard({ study, source, shard });
      done = Math.min(files, done + study.prepare.shardImages);
      await steps.report({ done });
      return result;
    });
    const groups = await cpu.groupNearDuplicates({ study, shards: ingested });
    return { manifest: await cpu.splitDataset({ study, shards: ingested, groups }) };
  });
}

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
