import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createControlActivities } from '../../activities/control.ts';
import { readReleased } from '../../activities/evaluation.ts';
import { fetchClassifier, fetchShards, type LocalDeps } from '../../activities/local-inputs.ts';
import { readStudy } from '../../activities/study-record.ts';
import { translateError } from '../../activities/translate-errors.ts';
import type { ControlActivities } from '../../contract/activities.ts';
import { blobKey, importHeadKey, studyKey, trainingHeadKey } from '../../contract/keys.ts';
import type { DatasetManifest } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { getBlob, getManifest, hashBytes } from '../../lib/storage/blobs.ts';
import { createBlobCache } from '../../lib/storage/local-blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { createPointer } from '../../lib/storage/pointer.ts';
import { readHead } from '../../lib/storage/training-head.ts';

/**
 * Objects that are gone or were changed in the bucket. Each failure names the object, and none is tried again for ever: no
 * retry brings a lost object back.
 */
const gone = { sha256: 'a'.repeat(64), bytes: 3 };
const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'busi' },
  classes: { negative: 'benign', positive: 'malignant' },
});

interface World {
  readonly store: ObjectStore;
  readonly control: ControlActivities;
  readonly local: LocalDeps;
}

type Case = readonly [
  access: (world: World) => Promise<unknown>,
  type: 'NotFoundError' | 'CorruptObjectError' | 'ConfigurationError' | 'DatasetError',
  names: RegExp,
];

const floor = { name: 'fd.irv2-real', weights: '0'.repeat(64), value: 1, reals: 4, fakes: 4 };
const startedStudy = ({ store }: World): Promise<boolean> =>
  createPointer(store, studyKey('s1'), { study, source: { kind: 'import', ...gone } });
const changed = async (store: ObjectStore, bytes: string): Promise<{ sha256: string; bytes: number }> => {
  const ref = hashBytes(Buffer.from('what was stored'));
  await store.put(blobKey(ref.sha256), Buffer.from(bytes));
  return ref;
};

const cases: Readonly<Record<string, Case>> = {
  'a blob that is gone': [({ store }) => getBlob(store, gone), 'NotFoundError', /blobs\/sha256\/aa/],
  'a blob with other bytes': [
    async ({ store }) => getBlob(store, await changed(store, 'what was stolen')),
    'CorruptObjectError',
    /is corrupt: sha256 expected .* got/,
  ],
  'a blob that was cut short': [
    async ({ store }) => getBlob(store, await changed(store, 'what')),
    'CorruptObjectError',
    /is corrupt/,
  ],
  'an empty blob': [async ({ store }) => getBlob(store, await changed(store, '')), 'CorruptObjectError', /is corrupt/],
  'a manifest that is gone': [
    ({ store }) => getManifest<DatasetManifest>(store, { kind: 'dataset', ...gone }),
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
  'a shard that is gone': [
    ({ local }) => fetchShards(local, [{ tar: gone, index: gone, images: 2 }]),
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
  'a shard with other bytes': [
    async ({ local, store }) => {
      const tar = await changed(store, 'what was stolen');
      return fetchShards(local, [{ tar, index: tar, images: 2 }]);
    },
    'CorruptObjectError',
    /is corrupt/,
  ],
  'a classifier that is gone': [
    ({ local }) => fetchClassifier(local, { kind: 'classifier', ...gone }, 1),
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
  'a study that was never started': [
    ({ store }) => readStudy(store, 's9'),
    'NotFoundError',
    /studies\/s9\/study\.json/,
  ],
  'a study record that is no JSON': [
    async ({ store }) => {
      await store.put(studyKey('s1'), Buffer.from('<Error>'));
      return readStudy(store, 's1');
    },
    'ConfigurationError',
    /studies\/s1\/study\.json holds 7 bytes that are no JSON/,
  ],
  'models that were never released': [
    ({ store }) => readReleased(store, 's9'),
    'NotFoundError',
    /models\/s9\/head\.json/,
  ],
  'an import that was never made': [
    ({ control }) => control.resolveStudy({ file: study, workflowId: 'study/s1' }),
    'DatasetError',
    /echoforge import DIR --name busi/,
  ],
  'an import whose manifest is gone': [
    async ({ control, store }) => {
      await createPointer(store, importHeadKey('busi'), { kind: 'import', ...gone });
      const resolved = await control.resolveStudy({ file: study, workflowId: 'study/s1' });
      return control.preflightStudy({ resolved });
    },
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
  'a classifier training without a head': [
    async (world) => {
      await startedStudy(world);
      return world.control.publishClassifier({ studyId: 's1', variant: 'real' });
    },
    'NotFoundError',
    /classifier\/real\/head\.json/,
  ],
  'a generator training without a head': [
    async (world) => {
      await startedStudy(world);
      const { generator: config } = study;
      const input = {
        studyId: 's1',
        side: 'negative',
        className: 'benign',
        config,
        metrics: [],
        floor,
        stopped: null,
      } as const;
      return world.control.publishGenerator(input);
    },
    'NotFoundError',
    /generator\/benign\/head\.json/,
  ],
  'a training head of another format': [
    async ({ store }) => {
      const key = trainingHeadKey('s1', 'generator/benign');
      await createPointer(store, key, { format: 2 });
      return readHead(store, key);
    },
    'ConfigurationError',
    /no training head of format 1/,
  ],
  'the snapshots of a generator that is gone': [
    ({ control }) => control.listSnapshots({ generator: { kind: 'generator', ...gone } }),
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
  'a filtered set that is gone': [
    ({ control }) => control.describeFilteredSet({ filtered: { kind: 'filteredSet', ...gone } }),
    'NotFoundError',
    /blobs\/sha256\/aa/,
  ],
};

describe('an object that is missing or changed', () => {
  let world: World;
  let dir = '';
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'echoforge-missing-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));
  beforeEach(() => {
    const store = createMemoryStore();
    const cache = createBlobCache({ dir, maxBytes: 1e6 });
    const deps = { findIdleQueues: () => Promise.resolve([]), freeBytes: () => Promise.resolve(null) };
    const control = createControlActivities({ store, timeouts: 'test', ...deps });
    world = { store, control, local: { store, cache, workDir: dir } };
  });

  it.each(Object.entries(cases))(
    '%s is named, and ends the study instead of being tried for ever',
    async (_name, one) => {
      const [access, type, names] = one;
      const error: unknown = await access(world).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(Error);
      expect(translateError(error)).toMatchObject({ type, nonRetryable: true });
      expect((error as Error).message).toMatch(names);
    },
  );
});
