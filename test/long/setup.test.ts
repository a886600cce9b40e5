import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { root } from '../../infra/setup/paths.mjs';

/** Everything fetched and built anew; the node modules of this clone stay. */
it('sets everything up with an empty cache, and finds it all the second time', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'echoforge-cache-'));
  const setup = async (): Promise<string> => {
    const env = { ...process.env, ECHOFORGE_CACHE: cache };
    const { stdout } = await promisify(execFile)('npm', ['run', '-s', 'setup'], { cwd: root, env, maxBuffer: 2 ** 26 });
    return stdout;
  };
  try {
    const first = await setup();
    console.log(
      first
        .split('\n')
        .filter((line) => /^\S.* (fetched|built|copied|found) /.test(line))
        .join('\n'),
    );
    for (const part of ['TensorFlow', 'tfjs addon', 'Temporal', 'MinIO'])
      expect(first).toMatch(new RegExp(`^${part} +(fetched|built) `, 'm'));
    expect(await setup()).not.toMatch(/ (fetched|built) /);
  } finally {
    await rm(cache, { recursive: true, force: true });
  }
});
