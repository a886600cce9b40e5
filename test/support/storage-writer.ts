import { createCipheriv, createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { trainingFileKey, trainingHeadKey } from '../../contract/keys.ts';
import type { BlobRef } from '../../contract/refs.ts';
import { downloadObject, hashFile, putBlob, putObjectFile } from '../../lib/storage/blobs.ts';
import type { MinioOptions } from '../../lib/storage/minio-client.ts';
import { openMinioStore } from '../../lib/storage/minio.ts';
import { advanceHead, claimHead } from '../../lib/storage/training-head.ts';

/**
 * A process that trains nothing, but claims, uploads and commits as a training does: each checkpoint is made from the bytes of
 * the one before, so a step that was lost or done twice shows in the last. It names each point that it reaches on stdout and
 * waits at `stopAt` for a line on stdin. Exit code 3: a conditional write was lost.
 */
export interface WriterTask {
  readonly minio: MinioOptions;
  readonly studyId: string;
  readonly steps: number;
  readonly checkpointBytes: number;
  readonly stopAt: string | null;
  readonly nonce: string;
  readonly scheduledMs: number;
}

export interface WriterState {
  readonly step: number;
  readonly checkpoint: BlobRef | null;
  readonly events: readonly BlobRef[];
}

const training = 'generator/benign';
export const writerHeadKey = (studyId: string): string => trainingHeadKey(studyId, training);
export const writerFileKey = (studyId: string, sha256: string): string => trainingFileKey(studyId, training, sha256);

async function main(task: WriterTask): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  const reach = async (point: string): Promise<void> => {
    process.stdout.write(`${point}\n`);
    if (point === task.stopAt) await new Promise((resolve) => lines.once('line', resolve));
  };
  const store = openMinioStore(task.minio);
  const dir = await mkdtemp(join(tmpdir(), 'echoforge-writer-'));
  try {
    await reach('before-claim');
    const initial: WriterState = { step: 0, checkpoint: null, events: [] };
    const { studyId, nonce, scheduledMs } = task;
    const identity = { key: writerHeadKey(studyId), owner: `pid ${process.pid}`, configSha256: 'c'.repeat(64) };
    let claim = await claimHead({ store, ...identity, nonce, scheduledMs, initial });
    let state = claim.state as WriterState; // this process is its only writer
    await reach('claimed');
    const file = join(dir, 'checkpoint');
    if (state.checkpoint) {
      const key = writerFileKey(studyId, state.checkpoint.sha256);
      await downloadObject(store, { key, ref: state.checkpoint, file });
    }
    while (state.step < task.steps) {
      const step = state.step + 1;
      await makeCheckpoint(file, { step, bytes: task.checkpointBytes, first: step === 1 });
      await reach(`made ${step}`);
      const ref = await hashFile(file);
      await putObjectFile(store, { key: writerFileKey(studyId, ref.sha256), ref, file });
      const events = [...state.events, await putBlob(store, Buffer.from(`event of step ${step}`))];
      await reach(`uploaded ${step}`);
      state = { step, checkpoint: ref, events };
      claim = await advanceHead(claim, state);
      await reach(`committed ${step}`);
    }
  } finally {
    lines.close();
    await rm(dir, { recursive: true, force: true });
  }
}

/** The next checkpoint: a cipher stream keyed by the bytes of the last. */
async function makeCheckpoint(file: string, options: { step: number; bytes: number; first: boolean }): Promise<void> {
  const before = options.first ? Buffer.alloc(0) : await readFile(file);
  const key = createHash('sha256').update(before).update(String(options.step)).digest();
  const stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  await writeFile(file, stream.update(Buffer.alloc(options.bytes)));
}

const argument = process.argv[2];
if (argument?.startsWith('{') === true) {
  await main(JSON.parse(argument) as WriterTask).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}\n`);
    process.exitCode = error instanceof Error && error.name === 'ConflictError' ? 3 : 1;
  });
  process.stdin.destroy();
}
