import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StudyProgress } from '../../contract/progress.ts';
import type { ProcessName } from '../../infra/local/stack.ts';
import { startTestStack } from '../support/stack.ts';
import { createRunner, smallStudy, type StudyRunner } from '../support/study-runner.ts';
import { runUndisturbed } from '../support/undisturbed.ts';

/**
 * The same study undisturbed and, in another empty store, with kill -9 of every part at named points of its way. Nobody
 * helps; results and report are the same bytes.
 */
type TestStack = Awaited<ReturnType<typeof startTestStack>>;
let results: Buffer;
let report: Buffer;

const reached =
  (step: string, share: number) =>
  ({ steps }: StudyProgress): boolean =>
    steps.some((other) => other.step === step && (other.state === 'done' || other.done >= share * other.total));

/** Highest attempt of an activity of the step, by the run record. */
async function attemptsOf(runner: StudyRunner, studyId: string, step: string): Promise<number> {
  const { entries } = await runner.run(studyId);
  const own = entries.filter(({ workflowId }) => workflowId.startsWith(`study/${studyId}/${step}`));
  return Math.max(0, ...own.map(({ attempt }) => attempt));
}

describe('kill -9', () => {
  let stack: TestStack;
  let runner: StudyRunner;
  beforeAll(async () => {
    ({ results, report } = await runUndisturbed());
    stack = await startTestStack();
    runner = await createRunner(stack.env);
    await runner.importPhantoms('phantoms', 80);
  });
  afterAll(async () => stack?.dispose());

  it('of trainer, workers, Temporal and MinIO changes no byte of the result', async () => {
    await runner.start('killed', smallStudy);
    const strike = async (step: string, share: number, name: ProcessName, delay = 0): Promise<void> => {
      await runner.until('killed', reached(step, share));
      await sleep(delay);
      await stack.kill(name, 'SIGKILL');
    };
    await strike('dataset', 0, 'cpu', 300);
    await strike('classifier/real', 0, 'engine', 2_500);
    await strike('classifier/real', 0.5, 'gpu', 500);
    await strike('generator/benign', 0, 'engine', 1_500);
    await strike('generator/benign', 0.5, 'temporal', 500);
    await strike('generator/malignant', 0, 'minio', 1_000);
    await strike('generator/malignant', 0.5, 'gpu', 1_000);
    await strike('synthesis/benign', 0, 'control');
    await strike('filter', 0.1, 'engine');
    await strike('classifier/synthetic', 0, 'minio', 1_000);
    await runner.finish('study/killed');
    // The engine was killed while it loaded for each of these: whoever finished them was a second attempt.
    for (const step of ['classifier/real', 'generator/benign'])
      expect(await attemptsOf(runner, 'killed', step), step).toBeGreaterThanOrEqual(2);
    expect(await runner.results('killed')).toEqual(results);
    expect(await runner.report('killed')).toEqual(report);
  });

  it('SIGSTOP past the heartbeat timeout and back: the attempt that slept moves nothing', async () => {
    await runner.start('stalled', smallStudy);
    await runner.until('stalled', reached('generator/benign', 0.2));
    await stack.kill('gpu', 'SIGSTOP');
    await sleep(25_000);
    await stack.kill('gpu', 'SIGCONT');
    await runner.finish('study/stalled');
    expect(await attemptsOf(runner, 'stalled', 'generator/')).toBeGreaterThanOrEqual(2);
    expect(await runner.results('stalled')).toEqual(results);
  });

  it('pause, resume, cancel and a new start change no byte either', async () => {
    await runner.start('paused', smallStudy);
    await runner.until('paused', reached('generator/benign', 0));
    const update = (name: string, ...input: string[]): Promise<string> =>
      runner.temporal('workflow', 'update', 'execute', '-w', 'study/paused', '--name', name, ...input);
    await update('pause', '--input', JSON.stringify({ reason: 'lunch' }));
    // A step that was about to end may be done instead of paused; either way none goes on.
    await runner.until('paused', ({ steps }) => steps.every(({ state }) => state !== 'running'));
    expect((await runner.progress('study/paused')).paused).toBe('lunch');
    await update('resume');
    await runner.until('paused', reached('generator/malignant', 0.2));
    await runner.temporal('workflow', 'cancel', '-w', 'study/paused');
    await expect(runner.finish('study/paused')).rejects.toThrow(/CANCELED/);
    await runner.start('paused', smallStudy);
    await runner.finish('study/paused');
    expect(await runner.results('paused')).toEqual(results);
    expect(await runner.report('paused')).toEqual(report);
  });
});
