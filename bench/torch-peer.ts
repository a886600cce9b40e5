import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { referencePython } from './reference/python.mjs';

/** The PyTorch process: bench/reference/step_server.py, one JSON line asked, one answered. */
export interface TorchPeer {
  readonly pid: number;
  ask<T>(command: string, args?: Readonly<Record<string, unknown>>): Promise<T>;
  close(): void;
}

export async function startTorch(say: (line: string) => void): Promise<TorchPeer> {
  const python = await referencePython({ log: say });
  const server = fileURLToPath(new URL('reference/step_server.py', import.meta.url));
  const child = spawn(python, [server], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  lines.on('line', (line) => waiting.shift()?.resolve(line));
  const ended = (): void => {
    for (const { reject } of waiting.splice(0)) reject(new Error('the PyTorch process ended before it answered'));
  };
  child.on('error', ended);
  lines.on('close', ended);
  return {
    pid: pidOf(child),
    ask: async <T>(command: string, args: Readonly<Record<string, unknown>> = {}) => {
      const answer = new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
      child.stdin.write(`${JSON.stringify({ command, ...args })}\n`);
      return JSON.parse(await answer) as T; // as step_server.py answers this command
    },
    close: () => child.stdin.end(),
  };
}

function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the PyTorch process did not start');
  return pid;
}
