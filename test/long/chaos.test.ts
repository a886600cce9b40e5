import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProcessName } from '../../infra/local/stack.ts';
import { createRng, randomInt } from '../../lib/random.ts';
import { startTestStack } from '../support/stack.ts';
import { createRunner, smallStudy } from '../support/study-runner.ts';
import { runUndisturbed } from '../support/undisturbed.ts';

/**
 * Kills at moments that nobody chose. `ECHOFORGE_CHAOS_SEED` repeats a run's choice of victims and pauses, as far as a
 * machine repeats its timing.
 */
const seed = Number(process.env['ECHOFORGE_CHAOS_SEED'] ?? 1);
const victims: readonly ProcessName[] = ['engine', 'gpu', 'cpu', 'control', 'temporal', 'minio'];
const studies = 3;

describe('chaos', () => {
  let calm: Awaited<ReturnType<typeof runUndisturbed>>;
  let stack: Awaited<ReturnType<typeof startTestStack>>;
  beforeAll(async () => {
    calm = await runUndisturbed();
    stack = await startTestStack();
  }, 3_600_000);
  afterAll(async () => stack?.dispose());

  it.each(Array.from({ length: studies }, (_, i) => i))('changes no byte of study %i', async (round) => {
    const runner = await createRunner(stack.env);
    if (round === 0) await runner.importPhantoms('phantoms', 80);
    const rng = createRng(seed, 'chaos', round);
    const studyId = `chaos-${round}`;
    await runner.start(studyId, smallStudy);
    const over = { yes: false };
    const end = runner.finish(`study/${studyId}`).finally(() => (over.yes = true));
    const struck: string[] = [];
    while (!over.yes) {
      await Promise.race([sleep(2_000 + randomInt(rng, 12_000)), end]);
      const victim = victims[randomInt(rng, victims.length)] ?? 'engine';
      // Between tasks there is no engine to kill.
      if (!over.yes)
        await stack.kill(victim, 'SIGKILL').then(
          () => struck.push(victim),
          () => undefined,
        );
    }
    await end;
    console.log(`study ${round}: kill -9 of ${struck.join(', ')}`);
    expect(struck.length).toBeGreaterThan(3);
    expect(await runner.results(studyId)).toEqual(calm.results);
    expect(await runner.report(studyId)).toEqual(calm.report);
  });
});
