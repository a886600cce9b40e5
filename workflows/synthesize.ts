import type { SyntheticSetManifest, SyntheticShard } from '../contract/manifests.ts';
import { groupShards, planSeedShards } from '../contract/plan.ts';
import type { SynthesizeInput, SynthesizeResult } from '../contract/steps.ts';
import { upsertSearchAttributes } from '@temporalio/workflow';
import { describeGpu, runStep } from './finished-steps.ts';
import { mapBounded } from './map-bounded.ts';
import { controlActivities, gpuActivities } from './proxies.ts';
import { classOf, stageOf } from './search-attributes.ts';
import { controlStep } from './step-control.ts';

/**
 * Seeds 1..N of one class become images, a few shards per activity, from the chosen snapshot. Pause interrupts an activity; its
 * finished shards are found again.
 */
export async function synthesize({ resolved, side, snapshot, chosenBy }: SynthesizeInput): Promise<SynthesizeResult> {
  const { study } = resolved;
  const className = study.classes[side];
  const step = `synthesis/${className}`;
  const steps = controlStep(step, 'images');
  upsertSearchAttributes([...stageOf(study, step), classOf(className)]);
  const control = controlActivities(resolved.timeouts);
  const gpu = gpuActivities(resolved.timeouts, study.queues.synthesize);
  const description = {
    resolved,
    control,
    step,
    queue: study.queues.synthesize,
    config: {
      synthesis: study.synthesis,
      image: study.image,
      generator: study.generator,
      side,
      chosenBy,
      precision: study.precision,
      execution: study.execution,
    },
    inputs: [{ kind: 'snapshot', ...snapshot.weights }],
    describe: describeGpu(gpu, resolved),
  };
  const manifest = await runStep<SyntheticSetManifest>(steps, description, async (fingerprint) => {
    let done = 0;
    await steps.report({ total: study.synthesis.imagesPerClass });
    const groups = groupShards(planSeedShards(study, 1, study.synthesis.imagesPerClass));
    const made = await mapBounded(groups, 4, async (shards) => {
      const request = { study, side, weights: snapshot.weights, shards };
      let stored: readonly SyntheticShard[] | null = null;
      while (stored === null) {
        await steps.whenRunning();
        stored = await steps.interruptible(() => gpu.synthesizeShards(request));
      }
      done += stored.reduce((sum, { shard }) => sum + shard.images, 0);
      await steps.report({ done });
      return stored;
    });
    const shards = made.flat();
    return {
      manifest: await control.publishSyntheticSet({
        manifest: { side, className, snapshot, chosenBy, psi: study.synthesis.psi, shards, fingerprint },
      }),
    };
  });
  return { manifest, shards: await control.listSyntheticShards({ synthetic: manifest }) };
}
