import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../lib/errors.ts';
import { createMemoryStore } from '../../../lib/storage/memory.ts';
import type { ObjectStore, PutOptions } from '../../../lib/storage/object-store.ts';
import { probeStore } from '../../../lib/storage/probe.ts';

/** A store that treats the conditions of a put as `weaken` says. */
function weakened(weaken: (options: PutOptions, exists: boolean) => PutOptions): ObjectStore {
  const store = createMemoryStore();
  return {
    ...store,
    put: async (key, data, options = {}) => store.put(key, data, weaken(options, (await store.head(key)) !== null)),
  };
}

describe('probeStore', () => {
  it('accepts a store that honours conditions and leaves nothing in it', async () => {
    const store = createMemoryStore();
    await probeStore(store);
    for await (const { key } of store.list('')) expect.fail(`left ${key} behind`);
  });

  it.each([
    ['every condition', 'If-None-Match: *', () => ({})],
    ['If-Match', 'If-Match with an etag that is not current', (o: PutOptions) => ({ ifNoneMatch: o.ifNoneMatch })],
    ['If-Match on a missing key', 'does not exist', (o: PutOptions, exists: boolean) => (exists ? o : {})],
  ] as const)('refuses a store that ignores %s', async (_, words, weaken) => {
    const refused = probeStore(weakened(weaken));
    await expect(refused).rejects.toThrow(ConfigurationError);
    await expect(refused).rejects.toThrow(words);
  });
});
