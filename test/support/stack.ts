import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { freePorts } from '../../infra/local/ports.ts';
import { startStack, type Stack } from '../../infra/local/stack.ts';
import { resolveTools } from '../../infra/setup/tools.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    stackEnv: Readonly<Record<string, string>>;
    stackHome: string;
  }
}

/** A whole stack of its own: empty store, free ports, the `test` timeouts. `dispose` also removes its data. */
export async function startTestStack(): Promise<
  Stack & { readonly home: string; readonly dispose: () => Promise<void> }
> {
  const home = await mkdtemp(join(tmpdir(), 'echoforge-stack-'));
  try {
    const options = { home, tools: await resolveTools(), ports: await freePorts(), timeouts: 'test' as const };
    const stack = await startStack({ ...options, say: () => undefined });
    const dispose = async (): Promise<void> => {
      await stack.stop();
      await rm(home, { recursive: true, force: true });
    };
    return { ...stack, home, dispose };
  } catch (error) {
    throw new Error(`the stack did not start; its logs end with:\n${await logTails(home)}`, { cause: error });
  }
}

/** The last lines of every log, for messages. */
export async function logTails(home: string): Promise<string> {
  const dir = join(home, 'logs');
  const tails: string[] = [];
  for (const name of await readdir(dir).catch(() => []))
    tails.push(`--- ${name}`, ...(await readFile(join(dir, name), 'utf8')).trimEnd().split('\n').slice(-8));
  return tails.join('\n');
}

export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const stack = await startTestStack();
  provide('stackEnv', stack.env);
  provide('stackHome', stack.home);
  return stack.dispose;
}
