import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from '../../infra/setup/lock.mjs';
import { cacheDir, isMain } from '../../infra/setup/paths.mjs';
import { attempt, run } from '../../infra/setup/shell.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const requirements = join(here, 'requirements.txt');

/**
 * Python with the pinned packages of the reference, in a virtual environment in the cache, made when first asked for: 1.5
 * minutes and 6 GB, since PyTorch's wheel wants its CUDA libraries. Nothing but `bench` and the fixture script uses it.
 */
export async function referencePython({ log = console.log } = {}) {
  const hash = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const dir = join(cacheDir(), 'torch-reference', hash);
  const python = join(dir, 'bin', 'python');
  const complete = join(dir, 'complete');
  const isThere = () =>
    readFile(complete).then(
      () => true,
      () => false,
    );
  if (await isThere()) return python;
  await mkdir(dirname(dir), { recursive: true });
  await withLock(
    join(cacheDir(), 'locks'),
    'torch-reference',
    async () => {
      if (await isThere()) return;
      log(`PyTorch reference: installing ${requirements} into ${dir}`);
      await rm(dir, { recursive: true, force: true });
      await run('python3', ['-m', 'venv', dir]);
      const install = ['-m', 'pip', 'install', '--no-cache-dir', '--disable-pip-version-check', '-r', requirements];
      await run(python, install, { timeoutMs: 1_800_000 });
      await writeFile(`${complete}.part`, '');
      await rename(`${complete}.part`, complete);
    },
    { log },
  );
  return python;
}

// node bench/reference/python.mjs make_generator_fixtures.py [arguments]
if (isMain(import.meta)) {
  const [script, ...args] = process.argv.slice(2);
  if (script === undefined) throw new Error('expected a script of bench/reference, e.g. make_generator_fixtures.py');
  const python = await referencePython();
  process.exitCode = (await attempt(python, [join(here, script), ...args], { inherit: true })).code;
}
