import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../../lib/errors.ts';
import { withDeadline, withRetries } from '../../../lib/storage/retry.ts';

const policy = { callTimeoutMs: 50, retryForMs: 400 };
const retry = { policy, judge: (): 'retry' => 'retry' };

describe('withRetries', () => {
  it('tries again until an attempt succeeds', async () => {
    const result = await withRetries('reading x', retry, (_, number) =>
      number < 2 ? Promise.reject(new Error('ECONNREFUSED')) : Promise.resolve(number),
    );
    expect(result).toBe(2);
  });

  it('throws a final error at once, as it is', async () => {
    const wrong = new Error('no such key');
    let attempts = 0;
    const judged = { policy, judge: (): 'final' => 'final' };
    const failing = withRetries('reading x', judged, () => {
      attempts++;
      return Promise.reject(wrong);
    });
    await expect(failing).rejects.toBe(wrong);
    expect(attempts).toBe(1);
  });

  it('gives up a hanging attempt at its deadline, aborts it, and says so when the time is up', async () => {
    const signals: AbortSignal[] = [];
    const hanging = withRetries('reading x', retry, (signal) => {
      signals.push(signal);
      return new Promise<never>(() => undefined);
    });
    await expect(hanging).rejects.toThrow(StoreUnavailableError);
    await expect(hanging).rejects.toThrow(/^reading x: .*no answer within 50 ms/);
    expect(signals.length).toBeGreaterThan(1);
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it('ends with the reason of the caller, also in a pause', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('paused')), 30);
    const refused = withRetries('x', { ...retry, signal: controller.signal }, () => Promise.reject(new Error('down')));
    await expect(refused).rejects.toThrow('paused');
  });
});

describe('withDeadline', () => {
  it('does not abort work that ends in time', async () => {
    let seen: AbortSignal | undefined;
    const work = (signal: AbortSignal): Promise<string> => {
      seen = signal;
      return Promise.resolve('done');
    };
    expect(await withDeadline(20, undefined, work)).toBe('done');
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(seen?.aborted).toBe(false);
  });
});
