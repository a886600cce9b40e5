import { beforeEach, describe, expect, it } from 'vitest';
import { newGeneratorState, generatorStateSchema } from '../../../contract/training-state.ts';
import { ConfigurationError, ConflictError } from '../../../lib/errors.ts';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import type { ObjectStore } from '../../../lib/storage/object-store.ts';
import { advanceHead, claimHead, readHead, type HeadClaim } from '../../../lib/storage/training-head.ts';

const key = 'studies/s/training/generator/benign/head.json';
const configSha256 = 'c'.repeat(64);
let store: ObjectStore;
beforeEach(() => {
  store = createMemoryStore();
});

const claim = (nonce: string, more: { configSha256?: string; scheduledMs?: number } = {}): Promise<HeadClaim> =>
  claimHead({ store, key, owner: `owner of ${nonce}`, configSha256, nonce, initial: { nimg: 0 }, ...more });

describe('the head of a training', () => {
  it('is created by the first claim with the initial state', async () => {
    expect(await readHead(store, key)).toBeNull();
    const { epoch, state } = await claim('a');
    expect({ epoch, state }).toEqual({ epoch: 1, state: { nimg: 0 } });
    expect(await readHead(store, key)).toMatchObject({ format: 1, seq: 1, epoch: 1, nonce: 'a', configSha256 });
  });

  it('hands its state to the next claim, one epoch later', async () => {
    await advanceHead(await claim('a'), { nimg: 4000 });
    const next = await claim('b');
    expect({ epoch: next.epoch, state: next.state, seq: next.head.seq }).toEqual({
      epoch: 2,
      state: { nimg: 4000 },
      seq: 3,
    });
  });

  it('cannot be moved by an attempt whose successor has claimed it', async () => {
    const stalled = await claim('a');
    const live = await claim('b');
    await expect(advanceHead(stalled, { nimg: 1 })).rejects.toThrow(ConflictError);
    await advanceHead(live, { nimg: 2 });
    await expect(advanceHead(stalled, { nimg: 1 })).rejects.toThrow(ConflictError);
    expect((await readHead(store, key))?.state).toEqual({ nimg: 2 });
  });

  it('cannot be moved with a claim that was used already', async () => {
    const first = await claim('a');
    const second = await advanceHead(first, { nimg: 1 });
    await expect(advanceHead(first, { nimg: 1 })).rejects.toThrow(ConflictError);
    expect((await advanceHead(second, { nimg: 1 })).head.seq).toBe(3);
  });

  it('goes to one of two attempts that claim at once', async () => {
    const results = await Promise.allSettled([claim('a'), claim('b')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await readHead(store, key))?.epoch).toBe(1);
  });

  it('refuses an attempt that was scheduled before the one that holds it', async () => {
    await claim('new', { scheduledMs: 2000 });
    await expect(claim('stalled', { scheduledMs: 1000 })).rejects.toThrow(ConflictError);
    expect((await readHead(store, key))?.nonce).toBe('new');
    expect((await claim('newer', { scheduledMs: 3000 })).epoch).toBe(2);
  });

  it('refuses another configuration and leaves the training as it is', async () => {
    await claim('a');
    await expect(claim('b', { configSha256: 'd'.repeat(64) })).rejects.toThrow(ConfigurationError);
    expect((await readHead(store, key))?.epoch).toBe(1);
  });

  it.each([
    ['another format', '{"format":2}'],
    ['another object', '["busi"]'],
  ])('refuses %s as a head', async (_, body) => {
    await store.put(key, Buffer.from(body));
    await expect(claim('a')).rejects.toThrow(/is no training head of format 1/);
    await expect(readHead(store, key)).rejects.toThrow(ConfigurationError);
  });

  it('carries the state of a generator training there and back', async () => {
    const file = { sha256: 'a'.repeat(64), bytes: 12 };
    const state = { ...newGeneratorState, nimg: 4000, checkpoint: file, events: [file] };
    const first = await claimHead({ store, key, owner: '', configSha256, nonce: 'a', initial: newGeneratorState });
    expect(generatorStateSchema.parse(first.state)).toEqual(newGeneratorState);
    await advanceHead(first, state);
    expect(generatorStateSchema.parse((await claim('b')).state)).toEqual(state);
  });
});
