import { beforeEach, describe, expect, it } from 'vitest';
import { differingFields, pinStudy, readStudy, resolveStudy } from '../../activities/study-record.ts';
import { importHeadKey } from '../../contract/keys.ts';
import type { DatasetImport } from '../../contract/manifests.ts';
import { StudyFileError } from '../../contract/resolve-study.ts';
import { ConfigurationError, DatasetError } from '../../lib/errors.ts';
import { putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { updatePointer } from '../../lib/storage/pointer.ts';

const file = { dataset: { name: 'busi' }, classes: { negative: 'benign', positive: 'malignant' } };

describe('resolveStudy', () => {
  let store: ObjectStore;
  const importNow = async (path: string): Promise<void> => {
    const blob = { sha256: 'a'.repeat(64), bytes: 1 };
    const manifest = await putManifest<DatasetImport>(store, { kind: 'import', name: 'busi', files: [{ path, blob }] });
    await updatePointer(store, importHeadKey('busi'), () => manifest);
  };
  const pin = async (over: object = {}, workflowId = 'study/s1'): ReturnType<typeof resolveStudy> => {
    const resolved = await resolveStudy(store, { file: { ...file, ...over }, workflowId, timeouts: 'test' });
    await pinStudy(store, resolved);
    return resolved;
  };

  beforeEach(async () => {
    store = createMemoryStore();
    await importNow('benign/1.png');
  });

  it('takes the studyId from the workflow id when the file has none', async () => {
    expect((await pin()).study.studyId).toBe('s1');
  });

  it('refuses a studyId that is not the one of the workflow', async () => {
    await expect(pin({ studyId: 's2' })).rejects.toThrow(StudyFileError);
    await expect(pin({ studyId: 's2' }, 'my-study')).rejects.toThrow(/study\/s2/);
  });

  it('names the datasets that there are when the wanted one was never imported', async () => {
    await expect(pin({ dataset: { name: 'other' } })).rejects.toThrow(DatasetError);
    await expect(pin({ dataset: { name: 'other' } })).rejects.toThrow(/found busi.*echoforge import DIR --name other/s);
  });

  it('goes on with the import that the study began with', async () => {
    const first = await pin();
    await importNow('benign/2.png');
    expect((await pin()).source).toEqual(first.source);
    expect((await pin({}, 'study/s2')).source).not.toEqual(first.source);
  });

  it('refuses another configuration under the same studyId, naming the fields', async () => {
    await pin();
    await expect(pin({ generator: { totalKimg: 9 }, seed: 2 })).rejects.toThrow(ConfigurationError);
    await expect(pin({ generator: { totalKimg: 9 }, seed: 2 })).rejects.toThrow(
      /generator\.totalKimg .*25000.*9.*seed/,
    );
  });

  it('accepts another owner, queue or gate', async () => {
    const first = await pin();
    const again = await pin({ owner: 'b', gates: ['snapshot'], queues: { synthesize: 'gpu-b' } });
    expect(again.configSha256).toBe(first.configSha256);
    expect(again.study.queues.synthesize).toBe('gpu-b');
  });

  it('hands tools the queues of the newest start', async () => {
    const first = await pin({ queues: { synthesize: 'gpu-a' } });
    await importNow('benign/2.png');
    await pin({ queues: { synthesize: 'gpu-b' } });
    const { study, source } = await readStudy(store, 's1');
    expect(study.queues.synthesize).toBe('gpu-b');
    expect(source).toEqual(first.source);
  });
});

describe('differingFields', () => {
  it('lists the paths of the leaves that differ', () => {
    expect(differingFields({ a: { b: 1, c: [1] } }, { a: { b: 2, c: [1] } })).toEqual(['a.b (1 -> 2)']);
  });
});
