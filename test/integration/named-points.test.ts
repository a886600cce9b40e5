import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { pinStudy, resolveStudy } from '../../activities/study-record.ts';
import type { ResolvedStudy } from '../../contract/activities.ts';
import { trainingHeadKey } from '../../contract/keys.ts';
import type { ClassifierManifest, DatasetManifest, GeneratorManifest, RefTo } from '../../contract/manifests.ts';
import type { TrainGeneratorInput } from '../../contract/steps.ts';
import { signalQuietly } from '../../infra/local/processes.ts';
import { readHead, type TrainingHead } from '../../lib/storage/training-head.ts';
import { startProxy, type FaultyProxy, type HeldRequest } from '../support/faulty-proxy.ts';
import { createRunner, smallStudy, type StudyRunner } from '../support/study-runner.ts';

/**
 * A gpu worker with its trainer, killed or stopped at the named points of a training: a proxy holds the one request to the
 * store at which it happens. Each time a second attempt ends in the manifest of an undisturbed training, every state was
 * committed once (nothing was done again but what had not been committed), and the engine went with its worker.
 */
const env = inject('stackEnv');
const pointOf = (studyId: string, file: string): string =>
  `PUT /${env['S3_BUCKET'] ?? ''}/studies/${studyId}/training/generator/benign/${file}`;

let runner: StudyRunner;
let client: Client;
let proxy: FaultyProxy;
let dir: string;
let resolved: ResolvedStudy;
let dataset: RefTo<DatasetManifest>;
let classifier: RefTo<ClassifierManifest>;
const running = new Set<ChildProcess>();

const file = {
  ...smallStudy,
  image: { resolution: 8 },
  classifier: { ...smallStudy.classifier, epochs: 1, segmentEpochs: 1 },
  snapshotMetric: { fakes: 32 },
};

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-points-'));
  runner = await createRunner(env);
  client = new Client({ connection: await Connection.connect({ address: env['TEMPORAL_ADDRESS'] ?? '' }) });
  proxy = await startProxy(env['S3_ENDPOINT'] ?? '');
  await runner.importPhantoms('points', 40);
  const studyFile = { ...file, studyId: 'points', dataset: { name: 'points' } };
  resolved = await resolveStudy(runner.store, { file: studyFile, workflowId: 'study/points', timeouts: 'test' });
  await pinStudy(runner.store, resolved);
  dataset = await run('prepareDataset', 'study/points/dataset', { resolved });
  const trainReal = { resolved, variant: 'real', images: dataset };
  classifier = await run('trainClassifier', 'study/points/classifier/real', trainReal);
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
});
afterAll(async () => {
  await proxy?.close();
  await client?.connection.close();
  await rm(dir, { recursive: true, force: true });
});

const run = <T>(type: string, workflowId: string, input: object): Promise<T> =>
  client.workflow.execute(type, { workflowId, taskQueue: 'control', args: [input] }) as Promise<T>;

/** Starts the training of one class as a study of its own, on a queue of its own. */
async function startTraining(studyId: string, queue: string) {
  const study = { ...resolved.study, studyId, queues: { ...resolved.study.queues, trainGenerator: queue } };
  const own = { ...resolved, study };
  const input: TrainGeneratorInput = { resolved: own, side: 'negative', dataset, classifier, decisions: [] };
  await pinStudy(runner.store, own);
  const workflowId = `study/${studyId}/generator/benign`;
  return await client.workflow.start('trainGenerator', { workflowId, taskQueue: 'control', args: [input] });
}

interface GpuWorker {
  readonly child: ChildProcess;
  readonly log: () => Promise<string>;
  readonly exit: Promise<void>;
}

function startWorker(name: string, queue: string, endpoint: string): GpuWorker {
  const logFile = join(dir, `${name}.log`);
  const log = openSync(logFile, 'a');
  const script = fileURLToPath(new URL('../../workers/gpu.ts', import.meta.url));
  const own = { S3_ENDPOINT: endpoint, ECHOFORGE_QUEUES: queue, ECHOFORGE_WORK_DIR: join(dir, name) };
  const child = spawn(process.execPath, ['--import', 'tsx', script], {
    env: { ...process.env, ...env, ...own },
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  running.add(child);
  return {
    child,
    log: () => readFile(logFile, 'utf8'),
    exit: new Promise((resolve) => child.once('exit', () => resolve())),
  };
}

const headOf = (studyId: string): Promise<TrainingHead | null> =>
  readHead(runner.store, trainingHeadKey(studyId, 'generator/benign'));

/** States that were committed; claims count epochs. */
const commits = (head: TrainingHead | null): number => (head ? head.seq - head.epoch : 0);

/** Highest attempt of any training segment, by the server's own record. */
async function attemptsOf(handle: Awaited<ReturnType<typeof startTraining>>): Promise<number> {
  const { events = [] } = await handle.fetchHistory();
  const segments = new Set(
    (events ?? [])
      .filter((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'trainGeneratorSegment')
      .map(({ eventId }) => String(eventId)),
  );
  const started = (events ?? []).flatMap(({ activityTaskStartedEventAttributes: attributes }) =>
    attributes && segments.has(String(attributes.scheduledEventId)) ? [attributes.attempt ?? 0] : [],
  );
  return Math.max(...started);
}

/** What the engine process of a worker logged when it began to train. */
const firstTraining = async (worker: GpuWorker): Promise<unknown> => {
  const lines = (await worker.log()).split('\n').filter((line) => line.includes('"task started"'));
  return JSON.parse(lines.find((line) => line.includes('"trainGenerator"')) ?? 'null') as unknown;
};

/** Process id of the engine that a worker started last, by its log. */
const engineOf = async (worker: GpuWorker): Promise<number> => {
  const line = (await worker.log())
    .split('\n')
    .filter((text) => text.includes('"engine process started"'))
    .at(-1);
  return (JSON.parse(line ?? '{}') as { pid?: number }).pid ?? -1;
};

describe('a training whose worker', () => {
  let calm: { readonly manifest: RefTo<GeneratorManifest>; readonly head: TrainingHead };
  beforeAll(async () => {
    const handle = await startTraining('calm', 'gpu');
    const manifest = (await handle.result()) as RefTo<GeneratorManifest>;
    calm = { manifest, head: (await headOf('calm'))! };
    expect(await attemptsOf(handle)).toBe(1);
  });

  /** Commits: 0 images, then every tick of 128; the head is written once before them, by the claim. */
  const points: Record<string, Omit<HeldRequest, 'start'> & { readonly file: string; readonly claimed: boolean }> = {
    'before the claim': { file: 'head.json', nth: 1, bytes: 0, claimed: false },
    'in the middle of an upload': { file: 'files/', nth: 2, bytes: 4_000, claimed: true },
    'between blob and pointer': { file: 'head.json', nth: 3, bytes: 0, claimed: true },
    'after the pointer': { file: 'head.json', nth: 3, bytes: Infinity, claimed: true },
  };

  it.each(Object.entries(points))('is killed %s: attempt 2 ends in the same manifest', async (name, point) => {
    const studyId = `killed-${name.replaceAll(' ', '-')}`;
    const queue = `gpu-${studyId}`;
    const { held } = proxy.holdRequest({ ...point, start: pointOf(studyId, point.file) });
    const first = startWorker(`${studyId}-1`, queue, proxy.endpoint);
    const handle = await startTraining(studyId, queue);
    await held;
    const engine = await engineOf(first);
    first.child.kill('SIGKILL');
    await first.exit;
    await expect.poll(() => signalQuietly(engine, 0), { timeout: 60_000 }).toBe(false);
    const second = startWorker(`${studyId}-2`, queue, env['S3_ENDPOINT'] ?? '');
    expect(await handle.result()).toEqual(calm.manifest);
    expect(await attemptsOf(handle)).toBe(2);
    expect(await firstTraining(second)).toMatchObject({
      ...{ process: 'engine', study: studyId, workflow: handle.workflowId },
      ...{ activity: 'trainGeneratorSegment', attempt: 2 },
    });
    const head = await headOf(studyId);
    expect(commits(head)).toBe(commits(calm.head));
    expect(head?.epoch).toBe(calm.head.epoch + (point.claimed ? 1 : 0));
  });

  it('is stopped past the heartbeat timeout and comes back moves nothing', async () => {
    const queue = 'gpu-stopped';
    const { held, release } = proxy.holdRequest({ start: pointOf('stopped', 'head.json'), nth: 3, bytes: 0 });
    const first = startWorker('stopped-1', queue, proxy.endpoint);
    const handle = await startTraining('stopped', queue);
    await held;
    first.child.kill('SIGSTOP');
    startWorker('stopped-2', queue, env['S3_ENDPOINT'] ?? '');
    expect(await handle.result()).toEqual(calm.manifest);
    expect(await attemptsOf(handle)).toBe(2);
    const before = await headOf('stopped');
    first.child.kill('SIGCONT');
    release();
    const lost = async (): Promise<string> =>
      (await first.log()).match(/ConflictError|was changed by somebody else/)?.[0] ?? '';
    await expect.poll(lost, { timeout: 60_000 }).not.toBe('');
    await sleep(1_000);
    expect(await headOf('stopped')).toEqual(before);
    expect(commits(before)).toBe(commits(calm.head));
  });
});
