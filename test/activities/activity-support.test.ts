import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeLeftovers } from '../../activities/activity-support.ts';

let parent: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'echoforge-work-'));
});
afterEach(async () => {
  await rm(parent, { recursive: true, force: true });
});

it('keeps the directory of a worker that lives, and removes that of one that was killed', async () => {
  const support = fileURLToPath(new URL('../../activities/activity-support.ts', import.meta.url));
  const script = `import(${JSON.stringify(support)}).then(({ withWorkDir }) =>
    withWorkDir(${JSON.stringify(parent)}, () => new Promise(() => setInterval(() => {}, 1000))))`;
  const worker = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: 'inherit' });
  await expect.poll(() => readdir(parent), { timeout: 60_000 }).toHaveLength(1);
  await removeLeftovers(parent);
  expect(await readdir(parent)).toHaveLength(1);
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  worker.kill('SIGKILL');
  await ended;
  await removeLeftovers(parent);
  expect(await readdir(parent)).toEqual([]);
});

it("removes what bears the worker's own pid, and what others have left for a week", async () => {
  const names = [
    `activity-${hostname()}-${process.pid}-abcdef`,
    'activity-elsewhere-1-abcdef',
    'activity-Old123',
    'new',
  ];
  for (const name of names) await mkdir(join(parent, name));
  await removeLeftovers(parent);
  expect((await readdir(parent)).sort()).toEqual(names.slice(1).sort());
  const then = new Date(Date.now() - 8 * 24 * 3_600_000);
  for (const name of names.slice(1)) await utimes(join(parent, name), then, then);
  await removeLeftovers(parent);
  expect(await readdir(parent)).toEqual(['new']);
  await removeLeftovers(join(parent, 'none')); // of a first start
});
