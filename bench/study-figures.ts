import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { reportKey, trainingHeadKey } from '../contract/keys.ts';
import { findStackProcesses } from '../infra/local/processes.ts';
import { cacheDir, homeDir } from '../infra/setup/paths.mjs';
import type { RunRecord } from '../lib/report/run-page.ts';
import { readHead } from '../lib/storage/training-head.ts';
import { connectClient, openStore, readEnvironment } from '../workers/config.ts';

/**
 * What a finished study on the local stack cost, as Markdown: seconds, attempts and history by workflow, peak memory by
 * process since it started, sizes of checkpoints, cache and stack data. Run it before the stack goes down.
 */
const studyId = process.argv[2];
if (studyId === undefined) throw new Error('usage: npx tsx bench/study-figures.ts STUDY');
const store = openStore(readEnvironment());
const client = await connectClient();
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

const { entries } = JSON.parse((await store.get(reportKey(studyId, 'run.json'))).toString()) as RunRecord; // placeReport wrote it
const root = `study/${studyId}`;
const steps: (readonly (string | number)[])[] = [];
for await (const { workflowId, runId } of client.workflow.list({ query: `Study = '${studyId}'` })) {
  const description = await client.workflow.getHandle(workflowId, runId).describe();
  const { startTime, closeTime, historyLength, historySize } = description;
  const seconds = ((closeTime ?? new Date()).getTime() - startTime.getTime()) / 1000;
  const attempts = entries.filter((entry) => entry.workflowId === workflowId).map(({ attempt }) => attempt);
  const step = workflowId === root ? 'study' : workflowId.slice(root.length + 1);
  steps.push([step, seconds.toFixed(1), Math.max(0, ...attempts), historyLength, historySize ?? 0]);
}
console.log(table(['workflow', 'seconds', 'most attempts', 'history events', 'history bytes'], steps.reverse()));

const processes: (readonly [string, string])[] = [];
for (const { pid, command } of await findStackProcesses(homeDir())) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const peakKb = Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0);
  processes.push([nameOf(command), megabytes(peakKb * 1024)]);
}
const ofTasks = new Map<string, number>();
for (const line of (await readFile(join(homeDir(), 'logs', 'gpu.log'), 'utf8')).split('\n')) {
  const { msg, study, task, maxRssMiB } = parseLine(line);
  if (msg === 'task done' && study === studyId && task !== undefined && maxRssMiB !== undefined)
    ofTasks.set(task, Math.max(ofTasks.get(task) ?? 0, maxRssMiB * 2 ** 20));
}
for (const [task, bytes] of ofTasks) processes.push([`engine process of ${task}`, megabytes(bytes)]);
console.log(`\n${table(['process', 'peak MB'], processes)}`);

const trainings = steps.map(([step]) => String(step)).filter((step) => /^(generator|classifier)\//.test(step));
const sizes: [string, string][] = [];
for (const training of trainings) {
  const state = (await readHead(store, trainingHeadKey(studyId, training)))?.state as Stored | undefined; // of a training
  if (state?.checkpoint) sizes.push([`checkpoint of ${training}`, megabytes(state.checkpoint.bytes)]);
}
for (const [name, dir] of [
  ['cache', cacheDir()],
  ['stack data: MinIO', join(homeDir(), 'minio')],
  ['stack data: all', homeDir()],
] as const)
  sizes.push([name, megabytes(await sizeOf(dir))]);
console.log(`\n${table(['what', 'MB'], sizes)}`);
await client.connection.close();

interface Stored {
  readonly checkpoint: { readonly bytes: number } | null;
}

interface LogLine {
  readonly msg?: string;
  readonly study?: string;
  readonly task?: string;
  readonly maxRssMiB?: number;
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return {}; // TensorFlow and Node write plain lines, too
  }
}

/** The part of the stack, by its command line. */
function nameOf(command: string): string {
  const worker = /workers\/([\w-]+)\.ts/.exec(command)?.[1];
  return worker ?? (command.includes('start-dev') ? 'temporal' : command.includes(' server ') ? 'minio' : command);
}

async function sizeOf(path: string): Promise<number> {
  const info = await stat(path).catch(() => null);
  if (!info) return 0;
  if (!info.isDirectory()) return info.size;
  let sum = 0;
  for (const name of await readdir(path)) sum += await sizeOf(join(path, name));
  return sum;
}
