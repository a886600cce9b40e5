import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

/** Keras itself loads what we export, in its ordinary way; installs it when it is not in the cache. */

const run = promisify(execFile);
const reference = (name: string): string => fileURLToPath(new URL(`../../bench/reference/${name}`, import.meta.url));

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'echoforge-keras-export-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

it.each([
  ['small', '66453'],
  ['published', '55912674'],
])('loads an exported %s network: equal weights, logits within 1e-5', async (which, parameters) => {
  const file = join(dir, `${which}.h5`);
  await run(process.execPath, ['--import', 'tsx', reference('export-recipe.ts'), which, file]);
  const { stdout } = await run(process.execPath, [reference('python.mjs'), 'keras_check_export.py', which, file]);
  console.log(stdout.trim());
  expect(stdout).toContain(`${parameters} parameters equal`);
});
