import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exchangeFeatures } from '../../activities/feature-files.ts';
import { blobKey } from '../../contract/keys.ts';
import { hashFile } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-feature-files-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const key = 'a'.repeat(64);
const shared = { studyId: 's1', reuse: true };

/** A store that was given features by study s1, and what it then has for other askers: null for nothing. */
async function stored(study: { studyId: string; reuse: boolean }) {
  const store = createMemoryStore();
  const file = join(dir, 'computed');
  await writeFile(file, 'features');
  await exchangeFeatures(store, study, { type: 'featureFile', stage: 'written', key, file });
  const ask = async (asking: { studyId: string; reuse: boolean }, other = key): Promise<string | null> => {
    const wanted = join(dir, 'wanted');
    await rm(wanted, { force: true });
    await exchangeFeatures(store, asking, { type: 'featureFile', stage: 'wanted', key: other, file: wanted });
    return await readFile(wanted, 'utf8').catch(() => null);
  };
  return { store, ask, blob: blobKey((await hashFile(file)).sha256) };
}

describe('features in the store', () => {
  it('are found by every study under their key, and under no other', async () => {
    const { ask } = await stored(shared);
    expect(await ask({ studyId: 's2', reuse: true })).toBe('features');
    expect(await ask(shared, 'b'.repeat(64))).toBeNull();
  });
  it('stay within a study that reuses nothing of others', async () => {
    const { ask } = await stored({ studyId: 's1', reuse: false });
    expect(await ask({ studyId: 's1', reuse: false })).toBe('features');
    expect(await ask({ studyId: 's2', reuse: false })).toBeNull();
    expect(await ask(shared)).toBeNull();
  });
  it('are computed again where their blob is gone, and refused where it is damaged', async () => {
    const { store, ask, blob } = await stored(shared);
    await store.put(blob, Buffer.from('feature?'));
    await expect(ask(shared)).rejects.toThrow(/is corrupt: sha256 expected/);
    await store.delete(blob);
    expect(await ask(shared)).toBeNull();
  });
});
