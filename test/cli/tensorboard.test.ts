import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { followTensorboard } from '../../cli/tensorboard.ts';
import { reportKey, stepKey, trainingHeadKey } from '../../contract/keys.ts';
import type { GeneratorManifest } from '../../contract/manifests.ts';
import { defaults } from '../../contract/presets.ts';
import { newGeneratorState } from '../../contract/training-state.ts';
import { StoreUnavailableError } from '../../lib/errors.ts';
import { putBlob, putManifest } from '../../lib/storage/blobs.ts';
import { createMemoryStore } from '../../lib/storage/memory.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';
import { advanceHead, claimHead, type HeadClaim } from '../../lib/storage/training-head.ts';
import { encodeEventFile } from '../../lib/tensorboard/event-file.ts';
import { readEvents } from '../support/read-events.ts';

let root = '';
let store: ObjectStore;
let out = '';
let claim: HeadClaim;
const said: string[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'echoforge-tensorboard-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));
beforeEach(async () => {
  store = createMemoryStore();
  out = await mkdtemp(join(root, 'logs-'));
  said.length = 0;
  const key = trainingHeadKey('s1', 'generator/benign');
  const configSha256 = '0'.repeat(64);
  claim = await claimHead({ store, key, owner: '', nonce: 'a', configSha256, initial: newGeneratorState });
});

const shard = (step: number, value: number): Uint8Array => encodeEventFile([{ step, scalars: { 'Loss/G': value } }]);
/** Moves the head to these event files, as checkpoints do. */
async function commit(...shards: readonly Uint8Array[]): Promise<void> {
  const events = await Promise.all(shards.map((bytes) => putBlob(store, bytes)));
  claim = await advanceHead(claim, { ...newGeneratorState, events });
}
const folder = (): string => join(out, 'generator', 'benign');
const contents = async (): Promise<Record<string, Uint8Array>> => {
  const names = (await readdir(folder()).catch(() => [])).sort();
  const files = names.map(async (name) => [name, new Uint8Array(await readFile(join(folder(), name)))] as const);
  return Object.fromEntries(await Promise.all(files));
};
const name = (number: number): string => `events.out.tfevents.00000${number}.echoforge`;

const follow = (stop: AbortController, intervalMs: number | null = 20): Promise<void> =>
  followTensorboard({
    ...{ store, studyId: 's1', out, intervalMs, signal: stop.signal },
    say: (line) => void said.push(line),
  });
const once = (): Promise<void> => follow(new AbortController(), null);

describe('echoforge tensorboard', () => {
  const [a, b, c, other] = [shard(1, 1), shard(2, 2), shard(3, 3), shard(2, 5)];

  it('fetches what a running study commits until it has its report', async () => {
    const following = follow(new AbortController());
    await expect.poll(() => said.at(-1)).toContain('waiting');
    await commit(a);
    await expect.poll(contents).toEqual({ [name(0)]: a });
    await commit(a, b);
    await expect.poll(contents).toEqual({ [name(0)]: a, [name(1)]: b });
    await commit(a, b, c);
    await store.put(reportKey('s1', 'report.html'), Buffer.from('done'));
    await following;
    expect(await contents()).toEqual({ [name(0)]: a, [name(1)]: b, [name(2)]: c });
    expect((await readdir(out)).sort()).toEqual(['generator']);
  });

  it('ends when it is interrupted, and goes on in the same folder', async () => {
    await commit(a);
    const stop = new AbortController();
    const following = follow(stop, 60_000);
    await expect.poll(contents).toEqual({ [name(0)]: a });
    stop.abort();
    await following;
    await commit(a, b);
    await once();
    expect(await contents()).toEqual({ [name(0)]: a, [name(1)]: b });
  });

  it('takes back what a training took back, and never gives a number twice: readers go forward only', async () => {
    const stop = new AbortController();
    await commit(a, b);
    const following = follow(stop);
    await expect.poll(contents).toEqual({ [name(0)]: a, [name(1)]: b });
    await commit(a);
    await expect.poll(contents).toEqual({ [name(0)]: a });
    await commit(a, other);
    await expect.poll(contents).toEqual({ [name(0)]: a, [name(2)]: other });
    stop.abort();
    await following;
  });

  it('waits for a store that is away', async () => {
    await commit(a);
    let away = true;
    const working = store;
    store = {
      ...working,
      head: (key) => (away ? Promise.reject(new StoreUnavailableError('gone for lunch')) : working.head(key)),
    };
    const stop = new AbortController();
    const following = follow(stop);
    await expect.poll(() => said.at(-1)).toBe('gone for lunch; waiting');
    away = false;
    await expect.poll(contents).toEqual({ [name(0)]: a });
    stop.abort();
    await following;
    away = true;
    await expect(once()).rejects.toThrow('gone for lunch');
  });

  it('replaces a file that is not the one of that number, and leaves other files alone', async () => {
    await commit(a, b);
    await once();
    await writeFile(join(folder(), name(1)), 'half a fi');
    await writeFile(join(folder(), 'notes.txt'), 'mine');
    await once();
    expect(await contents()).toEqual({ [name(0)]: a, [name(2)]: b, 'notes.txt': new Uint8Array(Buffer.from('mine')) });
  });

  it('writes the metric of each class of a network for both beside its training', async () => {
    const key = trainingHeadKey('s1', 'generator/both');
    const initial = { ...newGeneratorState, events: [await putBlob(store, a)] };
    await claimHead({ store, key, owner: '', nonce: 'b', configSha256: '1'.repeat(64), initial });
    for (const [className, value] of [
      ['benign', 30],
      ['malignant', 50],
    ] as const) {
      const metric = (of: number) => ({ ...{ name: 'fd.irv2-real', weights: '', reals: 9, fakes: 9 }, value: of });
      const manifest = await putManifest<GeneratorManifest>(store, {
        ...{ kind: 'generator', side: className === 'benign' ? 'negative' : 'positive', className },
        ...{ config: { ...defaults.generator, conditional: true }, floor: metric(value / 2) },
        snapshots: [{ nimg: 1000, metric: metric(value) }],
      } as unknown as GeneratorManifest); // what the command reads of it
      await store.put(stepKey('s1', `generator/${className}`), Buffer.from(JSON.stringify({ manifest })));
    }
    await once();
    const written = await readFile(join(out, 'generator', 'both', 'events.out.tfevents.metric.echoforge'));
    const scalars = readEvents(written).map(([tag, step, value]) => [tag, [step, value]] as const);
    expect(Object.fromEntries(scalars)).toEqual({
      'Metrics/fd.irv2-real/benign': [1000, 30],
      'Metrics/fd.irv2-real/benign/floor': [1000, 15],
      'Metrics/fd.irv2-real/malignant': [1000, 50],
      'Metrics/fd.irv2-real/malignant/floor': [1000, 25],
    });
  });

  it('says when one look finds nothing', async () => {
    await expect(once()).rejects.toThrow('study s1 has no training with events yet');
  });
});
