import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fetchStart, requireStart } from '../../activities/start-weights.ts';
import { listCheckpoints } from '../../cli/checkpoints.ts';
import { importWeights } from '../../cli/weights.ts';
import { trainingFileKey, trainingHeadKey } from '../../contract/keys.ts';
import { resolveStudyFile } from '../../contract/resolve-study.ts';
import type { Study } from '../../contract/study.ts';
import { newGeneratorState } from '../../contract/training-state.ts';
import { loadEngine } from '../../lib/engine/backend.ts';
import { readTensorShapes } from '../../lib/engine/tensor-header.ts';
import { ConfigurationError, CorruptObjectError, NotFoundError, WeightsError } from '../../lib/errors.ts';
import { networkShapeOf } from '../../lib/generator/architecture.ts';
import { noSkips } from '../../lib/generator/skips.ts';
import { saveCheckpoint, saveSnapshot } from '../../lib/generator/checkpoint.ts';
import { createTrainingState, disposeTrainingState } from '../../lib/generator/state.ts';
import { hashFile, putBlobFile } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { claimHead } from '../../lib/storage/training-head.ts';

/** From an object of the store to the file that a training starts from, refused before anything is computed. */

const studyOf = (generator: Record<string, unknown>, resolution = 16): Study =>
  resolveStudyFile({
    ...{ studyId: 's2', preset: 'demo', dataset: { name: 'busi' }, image: { resolution } },
    classes: { negative: 'benign', positive: 'malignant' },
    generator: { fmapBase: 64, fmapMax: 8, latentSize: 8, mappingLayers: 2, ...generator },
  });

let dir = '';
let checkpointFile = '';
let snapshotFile = '';
let store: ObjectStore;

beforeAll(async () => {
  await loadEngine();
  dir = await mkdtemp(join(tmpdir(), 'echoforge-start-'));
  const { generator, image, seed } = studyOf({});
  const state = createTrainingState({ shape: networkShapeOf(generator, image), config: generator, seed, stream: 's' });
  checkpointFile = join(dir, 'checkpoint.safetensors');
  snapshotFile = join(dir, 'snapshot.safetensors');
  const position = { nimg: 64, tick: { sums: {}, last: {} }, adaptation: null, skips: noSkips };
  await saveCheckpoint(checkpointFile, { state, position, hash: 'h' });
  await saveSnapshot(snapshotFile, { state, nimg: 64, hash: 'h' });
  disposeTrainingState(state);
});
afterAll(() => rm(dir, { recursive: true, force: true }));
beforeEach(() => {
  store = createMemoryStore();
});

/** A study that has kept one checkpoint and one snapshot; returns the key of the one and the hash of the other. */
async function putTraining(studyId: string): Promise<{ checkpoint: string; snapshot: string }> {
  const file = await hashFile(checkpointFile);
  const checkpoint = trainingFileKey(studyId, 'generator/benign', file.sha256);
  await store.putFile(checkpoint, checkpointFile);
  const weights = await putBlobFile(store, snapshotFile);
  await claimHead({
    ...{ store, key: trainingHeadKey(studyId, 'generator/benign'), owner: 'test', nonce: '1' },
    configSha256: '0'.repeat(64),
    initial: {
      ...newGeneratorState,
      kept: [{ at: 64, file, snapshot: 1 }],
      snapshots: [{ nimg: 64, weights, grid: weights }],
    },
  });
  return { checkpoint, snapshot: weights.sha256 };
}

describe('weights to start from', () => {
  it('are found by each kind of name, with what the file has of D', async () => {
    const { checkpoint, snapshot } = await putTraining('s1');
    const imported = await importWeights({ store, file: checkpointFile, say: () => undefined });
    const sha256 = (await hashFile(checkpointFile)).sha256;
    for (const [resumeFrom, file, start] of [
      [checkpoint, checkpointFile, { sha256, discriminator: 'taken' }],
      [imported, checkpointFile, { sha256, discriminator: 'taken' }],
      [snapshot, snapshotFile, { sha256: snapshot, discriminator: 'fresh' }],
    ] as const) {
      const found = await fetchStart(store, studyOf({ resumeFrom }), join(dir, 'work'));
      expect(found?.start).toEqual(start);
      expect(await readFile(found?.file ?? '')).toEqual(await readFile(file));
    }
    expect(await fetchStart(store, studyOf({}), dir)).toBeNull();
  });

  it('are listed by `echoforge checkpoints`, as a study file takes them', async () => {
    const { checkpoint, snapshot } = await putTraining('s1');
    const lines: string[] = [];
    await listCheckpoints({ store, studyId: 's1', say: (line) => lines.push(line) });
    expect(lines).toEqual([
      `generator/benign, 0.064 kimg, both networks: ${checkpoint}`,
      `generator/benign, 0.064 kimg, G alone: ${snapshot}`,
    ]);
    await expect(listCheckpoints({ store, studyId: 's9', say: () => undefined })).rejects.toThrow(NotFoundError);
  });

  it('are refused by field when they are not there, are none, or hold other networks', async () => {
    const { checkpoint, snapshot } = await putTraining('s1');
    const refusal = (generator: Record<string, unknown>, resolution = 16) =>
      expect(requireStart(store, studyOf(generator, resolution))).rejects;
    await refusal({ resumeFrom: 'b'.repeat(64) }).toThrow(ConfigurationError);
    await refusal({ resumeFrom: 'b'.repeat(64) }).toThrow(/generator\.resumeFrom needs .* echoforge checkpoints/);
    await refusal({ resumeFrom: checkpoint }, 32).toThrow(
      /generator\.resumeFrom \(studies.* of 16 px, expected 32; G\/synthesis\/b32.* is missing/,
    );
    await refusal({ resumeFrom: checkpoint, fmapMax: 4 }).toThrow(/has shape \[.*\], expected \[/);
    await refusal({ resumeFrom: snapshot, freezeD: 1 }).toThrow(/holds no discriminator/);
    const key = `weights/${'c'.repeat(64)}/photo.safetensors`;
    await store.put(key, Buffer.from('not weights at all'));
    await refusal({ resumeFrom: key }).toThrow(WeightsError);
    const huge: ObjectStore = { ...store, head: () => Promise.resolve({ bytes: 2 ** 30 + 1, etag: 'e' }) };
    await expect(requireStart(huge, studyOf({ resumeFrom: key }))).rejects.toThrow(/1073741825 bytes/);
  });

  it('are refused when the object is not what its name promises', async () => {
    const resumeFrom = `weights/${'d'.repeat(64)}/g.safetensors`;
    await store.putFile(resumeFrom, checkpointFile);
    await expect(fetchStart(store, studyOf({ resumeFrom }), join(dir, 'work'))).rejects.toThrow(CorruptObjectError);
  });
});

describe('shapes of a tensor file', () => {
  /** In chunks of one byte, as a slow connection may bring it. */
  async function* trickle(bytes: Buffer): AsyncGenerator<Buffer> {
    for (const byte of bytes) yield await Promise.resolve(Buffer.of(byte));
  }
  it('are read from the beginning of a stream, which is then closed', async () => {
    const bytes = await readFile(snapshotFile);
    const stream = trickle(bytes);
    const shapes = await readTensorShapes(stream, { file: 'x', size: bytes.length });
    expect(shapes.get('wAvg')).toEqual([8]);
    expect((await stream.next()).done).toBe(true);
    await expect(readTensorShapes(trickle(bytes.subarray(0, 50)), { file: 'x', size: 1000 })).rejects.toThrow(
      /x is no tensor file .*: it ends at byte 50|claims/,
    );
    const nameless = Buffer.concat([Buffer.of(14, 0, 0, 0, 0, 0, 0, 0), Buffer.from('{"a":{"b": 1}}')]);
    await expect(readTensorShapes(trickle(nameless), { file: 'x', size: 22 })).rejects.toThrow(/a in x has no valid/);
  });
});
