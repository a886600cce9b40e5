import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { hashBytes } from '../../lib/storage/blobs.ts';
import { openMinioStore } from '../../lib/storage/minio.ts';
import { readHead, type TrainingHead } from '../../lib/storage/training-head.ts';
import { startProxy } from '../support/faulty-proxy.ts';
import { startMinio } from '../support/minio.ts';
import { writerFileKey, writerHeadKey, type WriterState, type WriterTask } from '../support/storage-writer.ts';

/**
 * Attempts of one training, killed or stalled at named points. Expected each time: the next attempt goes on from the last
 * commit, at most the step since then is made again, and the final state equals the undisturbed one.
 */

const minio = await startMinio();
const proxy = await startProxy(minio.options.endpoint);
const store = openMinioStore(minio.options);
const throughProxy = { ...minio.options, endpoint: proxy.endpoint };
const script = fileURLToPath(new URL('../support/storage-writer.ts', import.meta.url));
// 9 MB: two parts.
const shape = { steps: 2, checkpointBytes: 9_000_000 };
const running = new Set<ChildProcess>();
let undisturbed: WriterState;
let studies = 0;
let attempts = 0;

interface Attempt {
  readonly child: ChildProcess;
  /** Points reached so far. */
  readonly points: readonly string[];
  readonly reached: (point: string) => Promise<void>;
  readonly exit: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

function begin(studyId: string, more: Partial<WriterTask> = {}): Attempt {
  const scheduledMs = ++attempts;
  const task: WriterTask = {
    minio: minio.options,
    studyId,
    ...shape,
    stopAt: null,
    nonce: `n${scheduledMs}`,
    scheduledMs,
    ...more,
  };
  const child = spawn(process.execPath, ['--import', 'tsx', script, JSON.stringify(task)]);
  running.add(child);
  const points: string[] = [];
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => points.push(line));
  const exit = new Promise<{ code: number | null; stderr: string }>((resolve) =>
    child.once('close', (code) => {
      running.delete(child);
      resolve({ code, stderr });
    }),
  );
  const reached = async (point: string): Promise<void> => {
    while (!points.includes(point)) {
      if (child.exitCode !== null) throw new Error(`ended before it reached "${point}": ${stderr}`);
      await sleep(10);
    }
  };
  return { child, points, reached, exit };
}

async function kill({ child, exit }: Attempt): Promise<void> {
  child.kill('SIGKILL');
  await exit;
}

const headOf = async (studyId: string): Promise<TrainingHead> => (await readHead(store, writerHeadKey(studyId)))!;
const newStudy = (): string => `kill-${studies++}`;

beforeAll(async () => {
  const studyId = newStudy();
  expect(await begin(studyId).exit).toEqual({ code: 0, stderr: '' });
  undisturbed = (await headOf(studyId)).state as unknown as WriterState;
  expect(undisturbed.step).toBe(2);
});
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});
afterAll(async () => {
  await proxy.close();
  await minio.stop();
});

async function finishesLikeUndisturbed(studyId: string, expected: { epoch: number; firstStep: number }): Promise<void> {
  const second = begin(studyId);
  expect(await second.exit).toEqual({ code: 0, stderr: '' });
  expect(second.points.filter((point) => point.startsWith('made'))[0]).toBe(`made ${expected.firstStep}`);
  const head = await headOf(studyId);
  expect(head.state).toEqual(undisturbed);
  expect(head.epoch).toBe(expected.epoch);
}

describe('an attempt that is killed', () => {
  it.each([
    ['before the claim', 'before-claim', { epoch: 1, firstStep: 1 }],
    ['after the claim', 'claimed', { epoch: 2, firstStep: 1 }],
    ['before an upload', 'made 2', { epoch: 2, firstStep: 2 }],
    ['between blob and pointer', 'uploaded 2', { epoch: 2, firstStep: 2 }],
    ['after the pointer', 'committed 1', { epoch: 2, firstStep: 2 }],
  ])('%s costs at most one step and no byte', async (_, stopAt, expected) => {
    const studyId = newStudy();
    const first = begin(studyId, { stopAt });
    await first.reached(stopAt);
    await kill(first);
    await finishesLikeUndisturbed(studyId, expected);
  });

  it('in the middle of an upload leaves nothing visible of it, and costs that step', async () => {
    const studyId = newStudy();
    const first = begin(studyId, { minio: throughProxy, stopAt: 'made 1' });
    await first.reached('made 1');
    const { held, release } = proxy.holdRequests(4_000_000);
    first.child.stdin?.write('\n');
    await held;
    await kill(first);
    release();
    for await (const { key } of store.list(`studies/${studyId}/training/generator/benign/files/`))
      expect.fail(`found ${key}`);
    await finishesLikeUndisturbed(studyId, { epoch: 2, firstStep: 1 });
  });
});

describe('an attempt that stalls past its takeover', () => {
  async function stallAndReturn(studyId: string, stopAt: string): Promise<void> {
    const stalled = begin(studyId, { stopAt });
    await stalled.reached(stopAt);
    stalled.child.kill('SIGSTOP');
    expect((await begin(studyId).exit).code).toBe(0);
    const before = await store.head(writerHeadKey(studyId));
    stalled.child.kill('SIGCONT');
    stalled.child.stdin?.write('\n');
    const { code, stderr } = await stalled.exit;
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('ConflictError') as string });
    expect(await store.head(writerHeadKey(studyId))).toEqual(before);
    expect((await headOf(studyId)).state).toEqual(undisturbed);
  }

  it.each([
    ['before its claim', 'before-claim'],
    ['with a claim', 'claimed'],
    ['with an uploaded checkpoint', 'uploaded 1'],
    ['after a commit', 'committed 1'],
  ])('%s cannot move the pointer when it comes back', (_, stopAt) => stallAndReturn(newStudy(), stopAt));

  it('in the middle of an upload cannot spoil the object that its successor finished', async () => {
    const studyId = newStudy();
    const stalled = begin(studyId, { minio: throughProxy, stopAt: 'made 1' });
    await stalled.reached('made 1');
    const { held, release } = proxy.holdRequests(4_000_000);
    stalled.child.stdin?.write('\n');
    await held;
    stalled.child.kill('SIGSTOP');
    const successor = begin(studyId, { stopAt: 'uploaded 1' });
    await successor.reached('uploaded 1');
    stalled.child.kill('SIGCONT');
    release();
    expect((await stalled.exit).code).toBe(3);
    successor.child.stdin?.write('\n');
    expect(await successor.exit).toEqual({ code: 0, stderr: '' });
    expect((await headOf(studyId)).state).toEqual(undisturbed);
    const final = undisturbed.checkpoint!;
    expect(hashBytes(await store.get(writerFileKey(studyId, final.sha256)))).toEqual(final);
  });
});

describe('a store that is killed and comes back', () => {
  it('is waited for: the attempt goes on, nothing is lost and nothing is done twice', async () => {
    const small = { steps: 40, checkpointBytes: 1000 };
    const [calm, struck] = [newStudy(), newStudy()];
    expect((await begin(calm, small).exit).code).toBe(0);
    const attempt = begin(struck, small);
    for (const step of [5, 15, 25]) {
      await attempt.reached(`committed ${step}`);
      await minio.kill();
      await sleep(300);
      await minio.start();
    }
    expect(await attempt.exit).toEqual({ code: 0, stderr: '' });
    expect(attempt.points.filter((point) => point.startsWith('made'))).toHaveLength(40);
    const head = await headOf(struck);
    expect(head.state).toEqual((await headOf(calm)).state);
    // One claim and forty commits, each applied once.
    expect({ epoch: head.epoch, seq: head.seq }).toEqual({ epoch: 1, seq: 41 });
  });

  it('in the middle of a large upload takes that upload again', async () => {
    const studyId = newStudy();
    const attempt = begin(studyId, { minio: throughProxy, stopAt: 'made 1' });
    await attempt.reached('made 1');
    const { held, release } = proxy.holdRequests(4_000_000);
    attempt.child.stdin?.write('\n');
    await held;
    await minio.kill();
    release();
    await minio.start();
    expect(await attempt.exit).toEqual({ code: 0, stderr: '' });
    expect((await headOf(studyId)).state).toEqual(undisturbed);
  });
});
