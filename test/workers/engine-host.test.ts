import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { EngineEvent } from '../../contract/engine.ts';
import { createEngineHost, type EngineHost } from '../../workers/engine-host.ts';

/** An engine process that works until it is told to stop, and says when it has begun. */
const entry = `
  process.on('message', ({ type, id }) => {
    if (type === 'run')
      process.send({ type: 'event', id, seq: 1, event: { type: 'progress', phase: 'train', done: 0, total: 1 } });
    if (type === 'stop') process.send({ type: 'done', id, output: 'saved' });
  });
  process.on('disconnect', () => process.exit(0));
  process.send({ type: 'ready' });
`;

let dir: string;
let host: EngineHost;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-host-'));
  const file = join(dir, 'engine.mjs');
  await writeFile(file, entry);
  const log = pino({ level: 'silent' });
  host = createEngineHost({ entry: pathToFileURL(file), log, timeouts: 'test', maxProcesses: 1 });
});
afterEach(async () => {
  host.close();
  await rm(dir, { recursive: true, force: true });
});

it('lets a task that waits for another queue give up at once, and the running one save first', async () => {
  const begin = (group: string, onEvent: (event: EngineEvent) => Promise<void> = () => Promise.resolve()) => {
    const stop = new AbortController();
    const settings = { precision: 'fp32', execution: 'eager' } as const;
    const options = { settings, workDir: dir, group, signal: stop.signal, labels: {}, onEvent };
    const ended = host.run('describeEngine', {}, options).catch((error: unknown) => error);
    return { stop, ended };
  };
  let training: ReturnType<typeof begin> | undefined;
  await new Promise<void>((resolve) => {
    training = begin('training', async () => {
      await Promise.resolve();
      resolve();
    });
  });
  const waiting = begin('inference');
  const reason = new Error('CANCELLED');
  waiting.stop.abort(reason);
  expect(await waiting.ended).toBe(reason);
  training?.stop.abort(reason);
  expect(await training?.ended).toBe('saved');
  expect(host.pids()).toHaveLength(1); // nothing was begun for the one that gave up
});
