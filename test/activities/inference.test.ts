import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGpuActivities } from '../../activities/gpu.ts';
import { translating } from '../../activities/translate-errors.ts';
import type { EngineRunner } from '../../contract/engine.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { ToolPlan } from '../../contract/tools.ts';
import { putBlob } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-inference-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** Draws until it is stopped, and then fails as workers/engine-host.ts hands it on; `begun` is called when it draws. */
const engineOf = (begun: () => void): EngineRunner => ({
  run: async (task, _input, { signal }) => {
    if (task === 'describeEngine') return fakeFingerprint as never;
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    begun();
    await stopped;
    throw Object.assign(new Error('This operation was aborted'), { name: 'AbortError' });
  },
});

/** How a style mixing ends whose worker is told this while it draws. */
async function endOf(reason: 'CANCELLED' | 'WORKER_SHUTDOWN'): Promise<unknown> {
  const store = createMemoryStore();
  const classes = { negative: 'benign', positive: 'malignant' };
  const study = resolveStudyFile({ studyId: 's1', preset: 'demo', dataset: { name: 'd' }, classes });
  const plan: ToolPlan<'styleMixing'> = {
    ...{ tool: 'styleMixing', study, side: 'negative', chosenBy: 'lowest', timeouts: 'test' },
    snapshot: { nimg: 64, weights: await putBlob(store, Buffer.from('weights')) },
    request: { rowSeeds: [1], columnSeeds: [2], columnStyles: [0], psi: 1, noise: 'none' },
  };
  const environment = new MockActivityEnvironment();
  const deps = {
    ...{ store, workDir: dir, engine: engineOf(() => environment.cancel(reason)) },
    cache: createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 }),
  };
  const { lastFingerprint, ...activities } = createGpuActivities(deps);
  const translated = translating(activities);
  return await environment
    .run((input: { readonly plan: typeof plan }) => translated.mixStyles(input), { plan })
    .catch((error: unknown) => error);
}

describe('a short task on the engine process', () => {
  it('ends as cancelled when the workflow is cancelled', async () => {
    expect(await endOf('CANCELLED')).toBeInstanceOf(CancelledFailure);
  });

  it('is worth another attempt when its worker shuts down', async () => {
    expect(await endOf('WORKER_SHUTDOWN')).toMatchObject({ type: 'AbortError', nonRetryable: false });
  });
});
