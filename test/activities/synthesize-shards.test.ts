import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createGpuActivities } from '../../activities/gpu.ts';
import { provenanceOf } from '../../activities/inference.ts';
import type { GpuActivities } from '../../contract/activities.ts';
import { canonicalJson } from '../../contract/canonical-json.ts';
import type { EngineRunner, SynthesizeShardsTask } from '../../contract/engine.ts';
import { memoKey } from '../../contract/keys.ts';
import type { SeedRange, SyntheticShard } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { getBlob, putBlob } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../../lib/storage/pointer.ts';
import { fakeFingerprint } from '../support/fake-activities.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-synthesis-activity-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const study = resolveStudyFile({
  ...{ studyId: 's1', dataset: { name: 'busi' }, classes: { negative: 'benign', positive: 'malignant' } },
});
const ranges: readonly SeedRange[] = [
  { firstSeed: 1, lastSeed: 2 },
  { firstSeed: 3, lastSeed: 4 },
  { firstSeed: 5, lastSeed: 6 },
];

/** What happens, in order, on a real small engine: it makes shards of no images, until told to stop or from where it fails. */
function createWorld({ failsAt = Infinity, putFile }: { failsAt?: number; putFile?: ObjectStore['putFile'] } = {}) {
  const memory = createMemoryStore();
  const store: ObjectStore = { ...memory, ...(putFile && { putFile }) };
  const log: string[] = [];
  const asked: (readonly number[])[] = [];
  const world = { store, memory, log, asked, failsAt };
  const engine: EngineRunner = {
    run: async (task, input, { workDir, signal, onEvent }) => {
      if (task === 'describeEngine') return fakeFingerprint as never;
      const { shards } = input as SynthesizeShardsTask; // the only other task here
      asked.push(shards.map(({ firstSeed }) => firstSeed));
      for (const range of shards) {
        log.push(`make ${range.firstSeed}`);
        if (range.firstSeed >= world.failsAt) throw new Error('killed');
        // As it comes from the engine process, which cannot send what it was aborted with.
        if (signal.aborted) throw new DOMException('This operation was aborted', 'AbortError');
        const [tarFile, indexFile] = [
          join(workDir, `${range.firstSeed}.tar`),
          join(workDir, `${range.firstSeed}.jsonl`),
        ];
        for (const file of [tarFile, indexFile]) await writeFile(file, basename(file));
        await onEvent({ type: 'syntheticShard', shard: { ...range, tarFile, indexFile, images: 2 } });
      }
      return [] as never; // the worker knows the shards by then
    },
  };
  const cache = createBlobCache({ dir: join(dir, 'blobs'), maxBytes: 1e6 });
  const gpu = createGpuActivities({ store, cache, workDir: dir, engine });
  const synthesize = async (environment = new MockActivityEnvironment()): Promise<readonly SyntheticShard[]> => {
    const weights = await putBlob(store, Buffer.from('weights'));
    return await environment.run(
      (given: Parameters<GpuActivities['synthesizeShards']>[0]) => gpu.synthesizeShards(given),
      {
        ...{ study, side: 'negative' as const, weights, shards: ranges },
      },
    );
  };
  return { ...world, synthesize, recover: () => (world.failsAt = Infinity) };
}

describe('synthesizeShards', () => {
  it('stores each shard while the engine makes the next, and one at a time', async () => {
    const world = createWorld({
      putFile: async (key, file, options) => {
        await sleep(100);
        const stored = await world.memory.putFile(key, file, options);
        if (file.endsWith('.jsonl')) world.log.push(`stored ${basename(file, '.jsonl')}`);
        return stored;
      },
    });
    const shards = await world.synthesize();
    expect(world.log).toEqual(['make 1', 'make 3', 'stored 1', 'make 5', 'stored 3', 'stored 5']);
    expect(shards).toMatchObject(ranges.map((range) => ({ ...range, shard: { images: 2 } })));
    const tars = await Promise.all(shards.map(({ shard }) => getBlob(world.store, shard.tar)));
    expect(tars.map(String)).toEqual(['1.tar', '3.tar', '5.tar']);
  });

  it('makes only what is missing after an attempt that failed', async () => {
    const world = createWorld({ failsAt: 5 });
    await expect(world.synthesize()).rejects.toThrow('killed');
    world.recover();
    const shards = await world.synthesize();
    expect(world.asked).toEqual([[1, 3, 5], [5]]);
    expect(shards.map(({ firstSeed }) => firstSeed)).toEqual([1, 3, 5]);
    expect(await world.synthesize()).toEqual(shards);
    expect(world.asked).toHaveLength(2);
  });

  it('fails with a shard that could not be stored, the last one too', async () => {
    const world = createWorld({
      putFile: async (key, file, options) => {
        if (file.endsWith('5.tar')) throw new Error('store is gone');
        return await world.memory.putFile(key, file, options);
      },
    });
    await expect(world.synthesize()).rejects.toThrow('store is gone');
  });

  it('ends as cancelled when the workflow interrupts it, what it made stored', async () => {
    const environment = new MockActivityEnvironment();
    const world = createWorld({
      putFile: async (key, file, options) => {
        if (file.endsWith('1.tar')) environment.cancel();
        await sleep(50);
        return await world.memory.putFile(key, file, options);
      },
    });
    await expect(world.synthesize(environment)).rejects.toBeInstanceOf(CancelledFailure);
    expect(world.log).toEqual(['make 1', 'make 3', 'make 5']);
    await world.synthesize();
    expect(world.asked).toEqual([[1, 3, 5], [5]]);
  });

  it('keeps each shard under the name that a shard always had', async () => {
    const world = createWorld();
    const weights = await putBlob(world.store, Buffer.from('weights'));
    const provenance = provenanceOf(study, { weights, fingerprint: fakeFingerprint });
    const { psi, batchSize } = study.synthesis;
    const keyOf = ({ firstSeed, lastSeed }: SeedRange): string => {
      const parts = ['negative', 'benign', provenance, psi, batchSize, firstSeed, lastSeed];
      const identity = { activity: 'synthesizeShard', parts, fingerprint: fakeFingerprint };
      return memoKey('s1', createHash('sha256').update(canonicalJson(identity)).digest('hex'));
    };
    const earlier = { firstSeed: 1, lastSeed: 2, shard: { images: 2, index: weights, tar: weights } };
    await updatePointer(world.store, keyOf(ranges[0]!), () => ({ result: earlier }));
    const [first, second] = await world.synthesize();
    expect(first).toEqual(earlier);
    expect(world.asked).toEqual([[3, 5]]);
    expect((await readPointer(world.store, keyOf(ranges[1]!)))?.value).toEqual({ result: second });
  });
});
