import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StepProgress, StudyProgress } from '../../contract/progress.ts';
import { writePhantomDataset } from '../../lib/phantom/dataset.ts';
import { neutralHistory } from './neutral-history.ts';
import { startTestStack } from './stack.ts';
import { createRunner, smallStudy, type StudyRunner } from './study-runner.ts';
import { toolInputs } from './tool-inputs.ts';

/**
 * Records the histories that test/workflows/replay.test.ts replays, from real runs on a stack of its own:
 *   npx tsx test/support/record-histories.ts RELEASE [studies] [tools]
 * Without a second word it runs everything. It adds what is missing: recorded files are never changed.
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

/** Every tool once, on a study of its own. */
async function runTools(runner: StudyRunner): Promise<void> {
  await runner.start('tooled', smallStudy);
  await runner.finish('study/tooled');
  for (const [tool, input] of Object.entries(toolInputs('tooled'))) {
    await runner.startTool(tool, `tool/${tool}`, input);
    await runner.finish(`tool/${tool}`);
  }
}

const steps = [
  ...['dataset', 'classifier/real', 'generator/benign', 'generator/malignant', 'synthesis/benign'],
  ...['filter', 'classifier/synthetic', 'evaluation', 'report'],
];
const recordings: Readonly<Record<string, { run: (runner: StudyRunner) => Promise<void>; ids: readonly string[] }>> = {
  studies: {
    run: async (runner) => {
      await runGuided(runner);
      await runReevaluation(runner);
      await runCancelled(runner);
    },
    ids: [
      'study/guided',
      ...steps.map((step) => `study/guided/${step}`),
      ...['study/cancelled', 'study/cancelled/classifier/real', 'reevaluate/recorded'],
    ],
  },
  tools: { run: runTools, ids: Object.keys(toolInputs('tooled')).map((tool) => `tool/${tool}`) },
};

const [release, ...wanted] = process.argv.slice(2);
const names = wanted.length > 0 ? wanted : Object.keys(recordings);
const chosen = names.map((name) => recordings[name]).filter((recording) => recording !== undefined);
if (release === undefined || !/^\d+\.\d+\.\d+$/.test(release) || chosen.length !== names.length)
  throw new Error(`usage: record-histories.ts RELEASE [${Object.keys(recordings).join('] [')}]`);
const out = fileURLToPath(new URL(`../histories/${release}/`, import.meta.url));
const stack = await startTestStack();
try {
  const runner = await createRunner(stack.env);
  await runner.importPhantoms('phantoms', 80);
  await mkdir(out, { recursive: true });
  for (const { run, ids } of chosen) {
    await run(runner);
    for (const id of ids) {
      const file = join(out, `${id.replaceAll('/', '.')}.json`);
      if (existsSync(file)) continue;
      const history = neutralHistory(JSON.parse(await runner.temporal('workflow', 'show', '-w', id, '-o', 'json')));
      await writeFile(file, `${JSON.stringify(history)}\n`);
      console.log(file);
    }
  }
} finally {
  await stack.dispose();
}
