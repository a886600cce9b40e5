import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectionTarget } from '../../activities/projection-target.ts';
import { stepKey } from '../../contract/keys.ts';
import type { DatasetManifest, ShardRef } from '../../contract/manifests.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import { parseToolInput } from '../../contract/tools.ts';
import { writeShard } from '../../lib/dataset/shard.ts';
import { encodePng } from '../../lib/image/png.ts';
import { prepareImage } from '../../lib/image/prepare.ts';
import { getBlob, putBlobFile, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import { createPointer } from '../../lib/storage/pointer.ts';

/** A study of three images, one in each split, whose sources also lie in the bucket. */

const study = resolveStudyFile({
  studyId: 's1',
  preset: 'demo',
  dataset: { name: 'd' },
  image: { resolution: 16 },
  classes: { negative: 'benign', positive: 'malignant' },
});
const store = createMemoryStore();
const source = (name: string): string => `benign/${name}.png`;
const prepared = new Map<string, Uint8Array>();
let dir = '';

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-target-'));
  for (const [i, name] of ['train', 'validation', 'test', 'other'].entries()) {
    const side = Math.max(study.prepare.minSourcePx, 20);
    const data = Uint8Array.from({ length: side * side }, (_, at) => (at * (i + 3)) % 251);
    const bytes = await encodePng({ width: side, height: side, channels: 1, data });
    await store.put(`incoming/${name}.png`, bytes);
    const image = await prepareImage(bytes, { ...study.image, minSourcePx: study.prepare.minSourcePx });
    prepared.set(name, await encodePng(image));
  }
  const shardOf = async (name: string): Promise<ShardRef[]> => {
    const files = { tarFile: join(dir, `${name}.tar`), indexFile: join(dir, `${name}.jsonl`) };
    const entry = { member: `${name}.png`, side: 'negative', source: source(name), groupId: 'g', seed: null } as const;
    await writeShard({ ...files, members: [{ entry, png: prepared.get(name)! }] });
    return [
      { tar: await putBlobFile(store, files.tarFile), index: await putBlobFile(store, files.indexFile), images: 1 },
    ];
  };
  const alone = async (name: string) => ({ negative: await shardOf(name), positive: [] });
  const manifest = {
    kind: 'dataset',
    training: { train: await alone('train'), validation: await alone('validation') },
    test: await alone('test'),
  } as unknown as DatasetManifest; // what is read of it
  const ref = await putManifest(store, manifest);
  await createPointer(store, stepKey('s1', 'dataset'), { identity: '', manifest: ref });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const targetOf = (over: object): ReturnType<typeof projectionTarget> =>
  projectionTarget(store, { study, input: parseToolInput('projectImage', { study: 's1', class: 'benign', ...over }) });

describe('projectionTarget', () => {
  it.each(['train', 'validation'])('finds a %s image by its source', async (name) => {
    const found = await targetOf({ image: source(name) });
    expect(found.name).toBe(source(name));
    expect(Buffer.from(await getBlob(store, found.png)).equals(Buffer.from(prepared.get(name)!))).toBe(true);
  });

  it('prepares any other image of the bucket as the study prepares its own', async () => {
    const found = await targetOf({ object: 'incoming/other.png' });
    expect(Buffer.from(await getBlob(store, found.png)).equals(Buffer.from(prepared.get('other')!))).toBe(true);
  });

  it('refuses a test image, by its name and by its pixels', async () => {
    await expect(targetOf({ image: source('test') })).rejects.toThrow(/image: "benign\/test\.png" is a test image/);
    await expect(targetOf({ object: 'incoming/test.png' })).rejects.toThrow(/object: .* is a test image of study s1/);
  });

  it('refuses what is not there or no image, and says what there is', async () => {
    await expect(targetOf({ image: 'benign/9.png' })).rejects.toThrow(
      /image: expected .* such as benign\/train\.png, found "benign\/9\.png"/,
    );
    await expect(targetOf({ object: 'incoming/9.png' })).rejects.toThrow(/object: .* found none at "incoming\/9\.png"/);
    await store.put('incoming/text.png', await readFile(new URL(import.meta.url)));
    await expect(targetOf({ object: 'incoming/text.png' })).rejects.toThrow(/object: .* cannot be used: not readable/);
    await expect(targetOf({ image: source('test') })).rejects.toMatchObject({ name: 'ToolInputError' });
  });
});
