import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from '../../infra/setup/lock.mjs';
import { cacheDir, isMain } from '../../infra/setup/paths.mjs';
import { attempt, run } from '../../infra/setup/shell.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const references = {
  torch: { label: 'PyTorch', requirements: join(here, 'requirements.txt') },
  keras: { label: 'Keras', requirements: join(here, 'requirements-keras.txt') },
};

/**
 * Python with the pinned packages of a reference, in a virtual environment in the cache, made when first asked for. PyTorch: 1.5
 * minutes and 6 GB, since its wheel wants its CUDA libraries. Keras on TensorFlow: 1.3 minutes and 1.6 GB. Nothing but `bench`
 * and the fixture scripts uses them.
 */
export async function referencePython({ reference = 'torch', log = console.log } = {}) {
  const { label, requirements } = references[reference];
  const hash = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const dir = join(cacheDir(), `${reference}-reference`, hash);
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
    `${reference}-reference`,
    async () => {
      if (await isThere()) return;
      log(`${label} reference: installing ${requirements} into ${dir}`);
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
  const python = await referencePython({ reference: script.startsWith('keras') ? 'keras' : 'torch' });
  process.exitCode = (await attempt(python, [join(here, script), ...args], { inherit: true })).code;
}
