import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { StudyProgress } from '../../contract/progress.ts';
import { writePhantomDataset } from '../../lib/phantom/dataset.ts';
import { homeDir } from '../setup/tools.mjs';
import { bringUp, describeStack } from './bring-up.ts';
import { describeProgress, parseProgress } from './progress-line.ts';

/** The whole study on simulated images, as a user would run it: `echoforge import`, then the `temporal` command. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const stack = await bringUp();
const env = { ...process.env, ...stack.env };
const run = promisify(execFile);
const temporal = async (...args: string[]): Promise<string> =>
  (await run(join(stack.bin, 'temporal'), args, { env, maxBuffer: 2 ** 26 })).stdout;
const echoforge = async (...args: string[]): Promise<string> =>
  (await run(process.execPath, [join(root, 'cli', 'echoforge.mjs'), ...args], { env })).stdout;

const began = Date.now();
let shown = '';
const images = await mkdtemp(join(tmpdir(), 'echoforge-phantoms-'));
const classes = { negative: 'benign', positive: 'malignant' };
await writePhantomDataset({ dir: images, classes, imagesPerClass: 120, seed: 1, resolution: 64 });
process.stdout.write(await echoforge('import', images, '--name', 'phantoms'));
await rm(images, { recursive: true });

const studyId = `demo-${new Date()
  .toISOString()
  .slice(0, 19)
  .replace(/[^0-9]/g, '')}`;
const workflow = `study/${studyId}`;
const file = join(root, 'examples', 'demo.json');
await temporal(
  ...['workflow', 'start', '--type', 'study', '--task-queue', 'control'],
  '--workflow-id',
  workflow,
  '--input-file',
  file,
);
console.log(`started ${workflow}; watch it at ${stack.ui}`);

const outcome = await follow();
if (outcome !== 'COMPLETED') {
  console.error(`\nThe study ended as ${outcome}: temporal workflow describe --workflow-id ${workflow}; npm run logs`);
  process.exit(1);
}
const out = join(homeDir(), 'reports', studyId);
await echoforge('report', studyId, '--out', out);
console.log(`\nThe study took ${Math.round((Date.now() - began) / 1000)} s. Its report: ${join(out, 'report.html')}`);
console.log(`Everything it made: npx echoforge export ${studyId} --out DIR`);
console.log(describeStack(stack));

/** Shows the progress until the workflow has closed; returns its status. */
async function follow(): Promise<string> {
  for (;;) {
    const progress = await query();
    if (progress) show(describeProgress(progress, (Date.now() - began) / 1000));
    const status = await describe();
    if (status !== 'RUNNING') return status;
    await sleep(2_000);
  }
}

async function query(): Promise<StudyProgress | null> {
  try {
    return parseProgress(
      await temporal('workflow', 'query', '--workflow-id', workflow, '--type', 'progress', '-o', 'json'),
    );
  } catch {
    return null; // not started yet, or a worker is being restarted
  }
}

async function describe(): Promise<string> {
  try {
    const text = await temporal('workflow', 'describe', '--workflow-id', workflow, '-o', 'json');
    const { workflowExecutionInfo } = JSON.parse(text) as { workflowExecutionInfo: { status: string } };
    return workflowExecutionInfo.status.replace('WORKFLOW_EXECUTION_STATUS_', '');
  } catch {
    return 'RUNNING'; // Temporal is being restarted
  }
}

/** One line that is written over on a terminal, a line per change elsewhere. */
function show(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[2K${line.slice(0, process.stdout.columns - 1)}`);
  else if (line !== shown) console.log(line);
  shown = line;
}
