import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError } from '../errors.ts';

export interface RetryPolicy {
  /** A call that has not ended after this is given up and tried again. */
  readonly callTimeoutMs: number;
  /** After this no further attempt begins. */
  readonly retryForMs: number;
}

/** Pauses 100 ms, 200 ms, ... 5 s. No jitter: a handful of workers share a store, and a run should repeat itself. */
const pauseMs = (attempt: number): number => Math.min(100 * 2 ** Math.min(attempt, 10), 5_000);

/** How an error of one attempt is to be read: `final` errors are thrown as they are. */
export type Judge = (error: unknown) => 'retry' | 'final';

/**
 * Runs `attempt` until it succeeds, fails for good or `retryForMs` have passed. Each attempt gets a signal that is aborted at
 * its deadline or by the caller; `attempt` must end when it is, by closing its socket.
 * @throws StoreUnavailableError when the time is up; the last error is its cause. The caller's reason when aborted.
 */
export async function withRetries<T>(
  what: string,
  {
    policy,
    judge,
    signal,
  }: { readonly policy: RetryPolicy; readonly judge: Judge; readonly signal?: AbortSignal | undefined },
  attempt: (signal: AbortSignal, number: number) => Promise<T>,
): Promise<T> {
  const started = performance.now();
  for (let number = 0; ; number++) {
    signal?.throwIfAborted();
    try {
      return await withDeadline(policy.callTimeoutMs, signal, (inner) => attempt(inner, number));
    } catch (error) {
      signal?.throwIfAborted();
      if (judge(error) === 'final') throw error;
      const seconds = (performance.now() - started) / 1000;
      if (seconds * 1000 + pauseMs(number) > policy.retryForMs)
        throw new StoreUnavailableError(
          `${what}: the store gave no good answer in ${number + 1} attempts over ${seconds.toFixed(1)} s ` +
            `(${error instanceof Error ? error.message : String(error)}); check that it runs and can be reached`,
          { cause: error },
        );
      await sleep(pauseMs(number), undefined, signal ? { signal } : {}).catch(() => undefined);
    }
  }
}

/** Runs `work` with a signal that is aborted after `ms` or with `outer`. */
export async function withDeadline<T>(
  ms: number,
  outer: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${ms} ms`)), ms);
  const onAbort = (): void => controller.abort(outer?.reason);
  outer?.addEventListener('abort', onAbort, { once: true });
  const aborted = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(asError(controller.signal.reason)), { once: true });
  });
  try {
    // Raced, because a stuck library promise may ignore the closed socket.
    return await Promise.race([work(controller.signal), aborted]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', onAbort);
  }
}

const asError = (reason: unknown): Error => (reason instanceof Error ? reason : new Error(String(reason)));
