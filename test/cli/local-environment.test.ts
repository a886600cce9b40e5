import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { loadLocalEnvironment } from '../../cli/local-environment.ts';

it('finds the stack of a relative ECHOFORGE_HOME from any folder, as npm run up does', async () => {
  const clone = fileURLToPath(new URL('../..', import.meta.url));
  const home = await mkdtemp(join(clone, '.echoforge-test-'));
  const before = process.cwd();
  try {
    await writeFile(join(home, 'stack.json'), JSON.stringify({ env: { S3_ENDPOINT: 'http://127.0.0.1:1' } }));
    vi.stubEnv('ECHOFORGE_HOME', basename(home));
    vi.stubEnv('S3_ENDPOINT', undefined);
    process.chdir(tmpdir());
    await loadLocalEnvironment();
    expect(process.env['S3_ENDPOINT']).toBe('http://127.0.0.1:1');
  } finally {
    process.chdir(before);
    vi.unstubAllEnvs();
    await rm(home, { recursive: true });
  }
});
