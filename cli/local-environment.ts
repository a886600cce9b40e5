import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Lets the command line tool find the local stack: takes its environment from `stack.json` in ECHOFORGE_HOME, unless the
 * caller named a store. Variables that are set already win.
 */
export async function loadLocalEnvironment(): Promise<void> {
  if (process.env['S3_ENDPOINT'] !== undefined) return;
  const home = process.env['ECHOFORGE_HOME'] ?? fileURLToPath(new URL('../.echoforge', import.meta.url));
  const file = join(resolve(home), 'stack.json');
  if (!existsSync(file)) return;
  // Written by infra/local/stack.ts.
  const { env } = JSON.parse(await readFile(file, 'utf8')) as { env: Record<string, string> };
  for (const [name, value] of Object.entries(env)) process.env[name] ??= value;
}
