import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import { nonRetryableErrorTypes } from '../contract/timeouts.ts';

/**
 * The one table of "retry or not": errors of `lib/` and `contract/` keep their name as failure type; those in
 * `nonRetryableErrorTypes` need a person or another input, everything else (a lost conditional write, a store that does
 * not answer, a dead engine process, a bug) is worth another attempt.
 */
export function translateError(error: unknown): Error {
  if (error instanceof TemporalFailure || error instanceof CancelledFailure) return error;
  if (!(error instanceof Error)) return ApplicationFailure.retryable(String(error), 'UnknownError');
  const type = error.name;
  const nonRetryable = nonRetryableErrorTypes.some((name) => name === type);
  return ApplicationFailure.create({ message: error.message, type, nonRetryable, cause: error });
}

type Implementation = (input: never) => Promise<unknown>;

/** The same activities with translated errors. */
export function translating<A extends { readonly [K in keyof A]: Implementation }>(activities: A): A {
  const wrap =
    (work: Implementation): Implementation =>
    async (input) => {
      try {
        return await work(input);
      } catch (error) {
        throw translateError(error);
      }
    };
  const entries = Object.entries<Implementation>(activities).map(([name, work]) => [name, wrap(work)] as const);
  return Object.fromEntries(entries) as A; // same names, same signatures
}
