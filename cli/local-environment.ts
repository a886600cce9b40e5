import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { homeDir } from '../infra/setup/tools.mjs';

/**
 * Lets the command line tool find the local stack: takes its environment from `stack.json` in ECHOFORGE_HOME, unless the
 * caller named a store. Variables that are set already win.
 */
export async function loadLocalEnvironment(): Promise<void> {
  if (process.env['S3_ENDPOINT'] !== undefined) return;
  const file = join(homeDir(), 'stack.json');
  if (!existsSync(file)) return;
  // Written by infra/local/stack.ts.
  const { env } = JSON.parse(await readFile(file, 'utf8')) as { env: Record<string, string> };
  for (const [name, value] of Object.entries(env)) process.env[name] ??= value;
}
