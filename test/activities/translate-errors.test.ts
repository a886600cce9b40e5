import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { describe, expect, it } from 'vitest';
import { translateError, translating } from '../../activities/translate-errors.ts';
import { ConflictError, DatasetError, DivergedError, NotFoundError, StoreUnavailableError } from '../../lib/errors.ts';

describe('translateError', () => {
  const cases: [Error, boolean][] = [
    [new DatasetError('x'), true],
    [new DivergedError('x'), true],
    [new NotFoundError('key'), true],
    [new ConflictError('key'), false],
    [new StoreUnavailableError('x'), false],
    [new TypeError('a bug'), false],
  ];
  it.each(cases)('keeps the name of %s as failure type and decides on a retry', (error, nonRetryable) => {
    const failure = translateError(error);
    expect(failure).toBeInstanceOf(ApplicationFailure);
    expect(failure).toMatchObject({ type: error.name, nonRetryable, message: error.message });
  });

  it('lets cancellation pass', async () => {
    const cancelled = new CancelledFailure('CANCELLED');
    const { stop } = translating({ stop: () => Promise.reject<number>(cancelled) });
    await expect(stop()).rejects.toBe(cancelled);
  });
});
