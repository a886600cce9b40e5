import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { referencePython } from './reference/python.mjs';

/** Another framework in a process of its own, a script of bench/reference: one JSON line asked, one answered. */
export interface ReferencePeer {
  readonly pid: number;
  ask<T>(command: string, args?: Readonly<Record<string, unknown>>): Promise<T>;
  close(): void;
}

const servers = {
  torch: { name: 'PyTorch', script: 'reference/step_server.py' },
  keras: { name: 'Keras', script: 'reference/keras_classifier_server.py' },
} as const;

export async function startPeer(reference: keyof typeof servers, say: (line: string) => void): Promise<ReferencePeer> {
  const { name, script } = servers[reference];
  const python = await referencePython({ reference, log: say });
  const server = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(python, [server], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  lines.on('line', (line) => waiting.shift()?.resolve(line));
  const ended = (): void => {
    for (const { reject } of waiting.splice(0)) reject(new Error(`the ${name} process ended before it answered`));
  };
  child.on('error', ended);
  lines.on('close', ended);
  return {
    pid: pidOf(child, name),
    ask: async <T>(command: string, args: Readonly<Record<string, unknown>> = {}) => {
      const answer = new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
      child.stdin.write(`${JSON.stringify({ command, ...args })}\n`);
      return JSON.parse(await answer) as T; // as the script answers this command
    },
    close: () => child.stdin.end(),
  };
}

function pidOf({ pid }: ChildProcess, name: string): number {
  if (pid === undefined) throw new Error(`the ${name} process did not start`);
  return pid;
}
