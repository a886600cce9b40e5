import { execFile } from 'node:child_process';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { reportKey } from '../../contract/keys.ts';
import type { StudyProgress } from '../../contract/progress.ts';
import { parseProgress } from '../../infra/local/progress-line.ts';
import { resolveTools } from '../../infra/setup/tools.mjs';
import { writePhantomDataset } from '../../lib/phantom/dataset.ts';
import type { RunRecord } from '../../lib/report/run-page.ts';
import { openMinioStore } from '../../lib/storage/minio.ts';
import type { ObjectStore } from '../../lib/storage/object-store.ts';

/** Runs studies as a user would: with the `temporal` and `echoforge` commands against a stack. */
export interface StudyRunner {
  readonly store: ObjectStore;
  readonly temporal: (...args: string[]) => Promise<string>;
  readonly echoforge: (...args: string[]) => Promise<string>;
  readonly importPhantoms: (name: string, imagesPerClass: number) => Promise<void>;
  readonly start: (studyId: string, file: object) => Promise<void>;
  /** Starts `reevaluate/<name>`. */
  readonly reevaluate: (name: string, input: { readonly models: string; readonly prefix: string }) => Promise<void>;
  /** Starts a tool, as docs/operating.md shows it. */
  readonly startTool: (tool: string, workflowId: string, input: object) => Promise<void>;
  /** Waits for the end. @throws Error with the failure's text unless the study completed. */
  readonly finish: (workflowId: string) => Promise<void>;
  readonly progress: (workflowId: string) => Promise<StudyProgress>;
  /** Waits until the condition holds; a query that fails (something is being restarted) counts as no. */
  readonly until: (studyId: string, condition: (progress: StudyProgress) => boolean) => Promise<StudyProgress>;
  readonly results: (studyId: string) => Promise<Buffer>;
  readonly report: (studyId: string) => Promise<Buffer>;
  readonly run: (studyId: string) => Promise<RunRecord>;
}

const execute = promisify(execFile);
const cli = fileURLToPath(new URL('../../cli/echoforge.mjs', import.meta.url));

export async function createRunner(stackEnv: Readonly<Record<string, string>>): Promise<StudyRunner> {
  const tools = await resolveTools();
  const env: NodeJS.ProcessEnv = { ...process.env, ...stackEnv };
  env['PATH'] = `${dirname(tools.temporal)}:${env['PATH'] ?? ''}`;
  const options = { env, maxBuffer: 2 ** 27 };
  const temporal: StudyRunner['temporal'] = async (...args) => (await execute(tools.temporal, args, options)).stdout;
  const echoforge: StudyRunner['echoforge'] = async (...args) =>
    (await execute(process.execPath, [cli, ...args], options)).stdout;
  const store = openMinioStore({
    endpoint: stackEnv['S3_ENDPOINT'] ?? '',
    region: stackEnv['S3_REGION'] ?? '',
    bucket: stackEnv['S3_BUCKET'] ?? '',
    accessKey: readFileSync(stackEnv['S3_ACCESS_KEY_FILE'] ?? '', 'utf8'),
    secretKey: readFileSync(stackEnv['S3_SECRET_KEY_FILE'] ?? '', 'utf8'),
  });
  const progress: StudyRunner['progress'] = async (workflowId) => {
    return parseProgress(await temporal('workflow', 'query', '-w', workflowId, '--type', 'progress', '-o', 'json'));
  };
  return {
    ...{ store, temporal, echoforge, progress },
    importPhantoms: async (name, imagesPerClass) => {
      const dir = await mkdtemp(join(tmpdir(), 'echoforge-images-'));
      const classes = { negative: 'benign', positive: 'malignant' };
      await writePhantomDataset({ dir, classes, imagesPerClass, seed: 1, resolution: 32 });
      await echoforge('import', dir, '--name', name);
      await rm(dir, { recursive: true });
    },
    start: async (studyId, file) => {
      const dir = await mkdtemp(join(tmpdir(), 'echoforge-file-'));
      const path = join(dir, 'study.json');
      await writeFile(path, JSON.stringify(file));
      const id = ['--workflow-id', `study/${studyId}`];
      await temporal('workflow', 'start', '--type', 'study', '--task-queue', 'control', ...id, '--input-file', path);
      await rm(dir, { recursive: true });
    },
    reevaluate: async (name, input) => {
      const id = ['--workflow-id', `reevaluate/${name}`, '--input', JSON.stringify(input)];
      await temporal('workflow', 'start', '--type', 'reevaluate', '--task-queue', 'control', ...id);
    },
    startTool: async (tool, workflowId, input) => {
      const id = ['--workflow-id', workflowId, '--input', JSON.stringify(input)];
      await temporal('workflow', 'start', '--type', tool, '--task-queue', 'control', ...id);
    },
    finish: async (workflowId) => {
      for (;;) {
        // `workflow result` waits; a server that is killed meanwhile ends the wait, not the study.
        const text = await temporal('workflow', 'describe', '-w', workflowId, '-o', 'json').catch(() => '');
        const status = /WORKFLOW_EXECUTION_STATUS_(\w+)/.exec(text)?.[1];
        if (status === 'COMPLETED') return;
        if (status !== undefined && status !== 'RUNNING') {
          const history = await temporal('workflow', 'show', '-w', workflowId).catch(() => '');
          throw new Error(`${workflowId} ended as ${status}: ${history.slice(-3000)}`);
        }
        await sleep(500);
      }
    },
    until: async (studyId, condition) => {
      for (;;) {
        const now = await progress(`study/${studyId}`).catch(() => null);
        if (now && condition(now)) return now;
        if (now?.stage === 'finished') throw new Error(`study ${studyId} finished without what was waited for`);
        await sleep(100);
      }
    },
    results: (studyId) => store.get(reportKey(studyId, 'results.json')),
    report: (studyId) => store.get(reportKey(studyId, 'report.html')),
    run: async (studyId) => JSON.parse((await store.get(reportKey(studyId, 'run.json'))).toString()) as RunRecord,
  };
}

/** The product's own networks and steps, small by numbers alone: about half a minute on two cores. */
export const smallStudy = {
  preset: 'demo',
  dataset: { name: 'phantoms' },
  classes: { negative: 'benign', positive: 'malignant' },
  classifier: { epochs: 6, segmentEpochs: 3, batchSize: 8 },
  generator: {
    ...{ fmapBase: 256, fmapMax: 32, latentSize: 32, mappingLayers: 2, gridSize: [4, 2] },
    ...{ totalKimg: 0.512, batchSize: 16, microBatchSize: 16, tickNimg: 128, snapshotTicks: 1, segmentTicks: 2 },
  },
  snapshotMetric: { fakes: 64 },
  synthesis: { imagesPerClass: 64, shardImages: 32 },
  filter: { maxCandidates: 320 },
  evaluation: { bootstrapResamples: 200 },
  reuse: false,
};
