import { startTestStack } from './stack.ts';
import { createRunner, smallStudy } from './study-runner.ts';

/** Results and report of the small study in an empty store, with nothing happening to it: what every other run must equal. */
export async function runUndisturbed(): Promise<{ readonly results: Buffer; readonly report: Buffer }> {
  const stack = await startTestStack();
  try {
    const runner = await createRunner(stack.env);
    await runner.importPhantoms('phantoms', 80);
    await runner.start('calm', smallStudy);
    await runner.finish('study/calm');
    return { results: await runner.results('calm'), report: await runner.report('calm') };
  } finally {
    await stack.dispose();
  }
}
