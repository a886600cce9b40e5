import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StepProgress, StudyProgress } from '../../contract/progress.ts';
import { writePhantomDataset } from '../../lib/phantom/dataset.ts';
import { neutralHistory } from './neutral-history.ts';
import { startTestStack } from './stack.ts';
import { createRunner, smallStudy, type StudyRunner } from './study-runner.ts';

/**
 * Records the histories that test/workflows/replay.test.ts replays, from real runs on a stack of its own:
 *   npx tsx test/support/record-histories.ts RELEASE
 * Run it once per release; recorded files are never changed, except when a release that nobody runs is given up.
 */

const atLeast = (step: string, share: number) => (progress: StudyProgress) =>
  progress.steps.some((other) => other.step === step && other.done >= share * other.total && other.total > 0);

/** Every message that a study takes: pause and resume, an extension, an approval of each class, the test-set gate. */
async function runGuided(runner: StudyRunner): Promise<void> {
  const update = async (id: string, name: string, input: object | null): Promise<void> => {
    const payload = input === null ? [] : ['--input', JSON.stringify(input)];
    await runner.temporal('workflow', 'update', 'execute', '-w', id, '--name', name, ...payload);
  };
  const study = 'study/guided';
  await runner.start('guided', { ...smallStudy, gates: ['snapshot', 'test-set'] });
  await runner.until('guided', atLeast('generator/benign', 0));
  await update(study, 'pause', { reason: 'recording' });
  await runner.until('guided', ({ steps }) => steps.some(({ state }) => state === 'paused'));
  await update(study, 'resume', null);
  await update(`${study}/generator/benign`, 'extendTraining', { totalKimg: 0.64 });
  await runner.until('guided', atLeast('generator/malignant', 0));
  await update(`${study}/generator/malignant`, 'stopTraining', { reason: 'recording' });
  const { steps } = await runner.until('guided', ({ awaiting }) => awaiting?.startsWith('approveSnapshot') ?? false);
  for (const name of ['benign', 'malignant'])
    await update(study, 'approveSnapshot', { class: name, sha256: lastSnapshot(steps, name), by: 'recorder' });
  await runner.until('guided', ({ awaiting }) => awaiting === 'test-set');
  await update(study, 'resume', null);
  await runner.finish(study);
}

function lastSnapshot(steps: readonly StepProgress[], className: string): string {
  const last = steps.find(({ step }) => step === `generator/${className}`)?.snapshots.at(-1);
  if (!last) throw new Error(`no snapshot of ${className} to approve`);
  return last.sha256;
}

async function runCancelled(runner: StudyRunner): Promise<void> {
  await runner.start('cancelled', { ...smallStudy, seed: 2 });
  await runner.until('cancelled', atLeast('classifier/real', 0));
  await runner.temporal('workflow', 'cancel', '-w', 'study/cancelled');
  await runner.finish('study/cancelled').catch(() => undefined); // it ends as cancelled
}

async function runReevaluation(runner: StudyRunner): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-incoming-'));
  const classes = { negative: 'benign', positive: 'malignant' };
  await writePhantomDataset({ dir, classes, imagesPerClass: 10, seed: 5, resolution: 32 });
  await runner.echoforge('import', dir, '--prefix', 'incoming');
  await rm(dir, { recursive: true });
  await runner.reevaluate('recorded', { models: 'guided', prefix: 'incoming/' });
  await runner.finish('reevaluate/recorded');
}

const steps = [
  ...['dataset', 'classifier/real', 'generator/benign', 'generator/malignant', 'synthesis/benign'],
  ...['filter', 'classifier/synthetic', 'evaluation', 'report'],
];
const recorded = [
  'study/guided',
  ...steps.map((step) => `study/guided/${step}`),
  ...['study/cancelled', 'study/cancelled/classifier/real', 'reevaluate/recorded'],
];

const release = process.argv[2];
if (release === undefined || !/^\d+\.\d+\.\d+$/.test(release)) throw new Error('usage: record-histories.ts RELEASE');
const out = fileURLToPath(new URL(`../histories/${release}/`, import.meta.url));
const stack = await startTestStack();
try {
  const runner = await createRunner(stack.env);
  await runner.importPhantoms('phantoms', 80);
  await runGuided(runner);
  await runReevaluation(runner);
  await runCancelled(runner);
  await mkdir(out, { recursive: true });
  for (const id of recorded) {
    const text = await runner.temporal('workflow', 'show', '-w', id, '-o', 'json');
    const history = neutralHistory(JSON.parse(text));
    await writeFile(join(out, `${id.replaceAll('/', '.')}.json`), `${JSON.stringify(history)}\n`);
  }
  console.log(`${recorded.length} histories in test/histories/${release}`);
} finally {
  await stack.dispose();
}
