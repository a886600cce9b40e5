import { spawn, type ChildProcess } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findSupervisors, supervise } from '../../infra/local/processes.ts';
import { readStackFile, writeStackFile } from '../../infra/local/stack-file.ts';

/** Processes of the local stack without its servers. */
let home: string;
let children: ChildProcess[];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'echoforge-local-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  await rm(home, { recursive: true, force: true });
});

/** A process that lives, started with these words and this home. */
async function living(word: string, env: NodeJS.ProcessEnv): Promise<number> {
  const script = 'console.log("up"); setInterval(() => {}, 1000)';
  const child = spawn(process.execPath, ['-e', script, word], { env: { ...process.env, ...env } });
  children.push(child);
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child.pid ?? 0;
}

describe('a supervised process', () => {
  it('is started again when it could not be started, and ends when asked to', async () => {
    const command = join(home, 'command');
    const said: string[] = [];
    const spec = { name: 'part', command, args: [], env: process.env, logFile: join(home, 'log') };
    const part = supervise(spec, (line) => said.push(line));
    await expect.poll(() => said.join()).toContain('ENOENT');
    await writeFile(command, '#!/bin/sh\nexec sleep 60\n');
    await chmod(command, 0o755);
    await expect.poll(part.pid, { timeout: 10_000 }).not.toBeNull();
    await part.stop(10_000);
    expect(part.pid()).toBeNull();
  });
});

describe('the supervisor of a home', () => {
  const content = (supervisor: number): Parameters<typeof writeStackFile>[1] => ({
    ...{ supervisor, env: {}, ui: '', console: '', bin: '' },
  });

  it('is found by its script and its home, named or the default one in the clone', async () => {
    const clone = join(home, 'clone');
    const script = join(clone, 'infra', 'local', 'supervisor.ts');
    const named = await living(script, { ECHOFORGE_HOME: join(home, 'data') });
    const byDefault = await living(script, { ECHOFORGE_HOME: '' });
    expect(await findSupervisors(join(home, 'data'))).toEqual([named]);
    expect(await findSupervisors(join(clone, '.echoforge'))).toEqual([byDefault]);
    await writeStackFile(home, content(named));
    expect(await readStackFile(home)).toBeNull(); // of another home
  });

  it('is not the program that has its pid after a reboot', async () => {
    await writeStackFile(home, content(await living('anything', { ECHOFORGE_HOME: home })));
    expect(await readStackFile(home)).toBeNull();
  });

  it('that came first is the first of two', async () => {
    const script = join(home, 'infra', 'local', 'supervisor.ts');
    const [first, second] = [
      await living(script, { ECHOFORGE_HOME: home }),
      await living(script, { ECHOFORGE_HOME: home }),
    ];
    expect(await findSupervisors(home)).toEqual([first, second]);
    await writeStackFile(home, content(first));
    expect((await readStackFile(home))?.supervisor).toBe(first);
  });
});
