import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Child processes that are started again when they die. */

export interface ProcessSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly logFile: string;
}

export interface Supervised {
  readonly name: string;
  readonly pid: () => number | null;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** SIGTERM, SIGKILL after `graceMs`; does not come back. */
  readonly stop: (graceMs: number) => Promise<void>;
}

const firstPause = 200;
const longestPause = 5_000;
/** A process that lived this long had started well: the next restart is quick again. */
const soundLife = 20_000;

export function supervise(spec: ProcessSpec, say: (line: string) => void): Supervised {
  let child: ChildProcess | null = null;
  let stopped = false;
  let pause = firstPause;
  const startAgain = (born: number, why: string): void => {
    child = null;
    if (stopped) return;
    pause = Date.now() - born > soundLife ? firstPause : Math.min(longestPause, 2 * pause);
    say(`${spec.name} ended (${why}), starting it again`);
    setTimeout(() => stopped || start(), pause);
  };
  const start = (): void => {
    const born = Date.now();
    const log = openSync(spec.logFile, 'a');
    try {
      const started = spawn(spec.command, spec.args, { env: spec.env, stdio: ['ignore', log, log] });
      child = started;
      // Without a pid it never began, and will not exit: no memory or no process left, or the command is gone.
      started.once('error', (error) => {
        if (started.pid === undefined) startAgain(born, error.message);
        else say(`${spec.name}: ${error.message}`);
      });
      started.once('exit', (code, signal) => startAgain(born, signal ?? `exit code ${code}`));
    } catch (error) {
      startAgain(born, String(error));
    } finally {
      closeSync(log);
    }
  };
  start();
  return {
    name: spec.name,
    pid: () => child?.pid ?? null,
    kill: (signal) => void child?.kill(signal),
    stop: async (graceMs) => {
      stopped = true;
      const running = child;
      if (!running) return;
      const gone = new Promise((resolve) => running.once('exit', resolve));
      running.kill('SIGTERM');
      const deadline = new AbortController();
      void sleep(graceMs, undefined, { signal: deadline.signal }).then(
        () => running.kill('SIGKILL'),
        () => undefined,
      );
      await gone;
      deadline.abort();
    },
  };
}

/** Marks every process of a stack, so that those whose supervisor was killed are found again. */
export const stackMark = 'ECHOFORGE_STACK_HOME';

/** Processes of this user that belong to the stack of `home`, with their command lines. Linux only. */
export async function findStackProcesses(home: string): Promise<{ readonly pid: number; readonly command: string }[]> {
  const found: { pid: number; command: string }[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (!environment.split('\0').includes(`${stackMark}=${home}`)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command !== '') found.push({ pid, command: command.replaceAll('\0', ' ').trim() });
  }
  return found;
}

/** Ends what a killed supervisor left behind. Returns how many there were. */
export async function killStackProcesses(home: string): Promise<number> {
  const orphans = await findStackProcesses(home);
  for (const { pid } of orphans) signalQuietly(pid, 'SIGKILL');
  for (let i = 0; i < 100 && (await findStackProcesses(home)).length > 0; i++) await sleep(50);
  return orphans.length;
}

/**
 * Processes behind `npm run up` of this home, the oldest first: one that starts, keeps or stops the stack. More than a pid,
 * which another program may have after a reboot. Linux only.
 */
export async function findSupervisors(home: string): Promise<number[]> {
  const found: { pid: number; born: number }[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const read = async (name: string): Promise<string> =>
      await readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    const script = (await read('cmdline')).split('\0').find((word) => word.endsWith('/infra/local/supervisor.ts'));
    if (script === undefined) continue;
    const variable = (await read('environ')).split('\0').find((line) => line.startsWith('ECHOFORGE_HOME='));
    const named = variable?.slice('ECHOFORGE_HOME='.length) ?? '';
    const clone = resolve(dirname(script), '..', '..'); // as homeDir() reads it
    if (resolve(clone, named === '' ? '.echoforge' : named) !== home) continue;
    // The name, which may hold spaces, ends with the last bracket; the start follows as the 20th field from there.
    const fields = (await read('stat')).split(') ').at(-1)?.split(' ') ?? [];
    found.push({ pid, born: Number(fields[19]) });
  }
  return found.sort((a, b) => a.born - b.born || a.pid - b.pid).map(({ pid }) => pid);
}

/** False when there is no such process any more. */
export function signalQuietly(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
