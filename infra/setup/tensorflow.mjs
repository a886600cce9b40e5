import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkSha256, download } from './download.mjs';
import { withLock } from './lock.mjs';
import { cacheDir, deviceKind, nvidiaDriverFile, root, versions } from './paths.mjs';
import { run } from './shell.mjs';
import { firstOf } from './sources.mjs';

const pinned = versions.tensorflow;
const kind = () => deviceKind(process.env, existsSync(nvidiaDriverFile));
const cached = () => join(cacheDir(), 'tensorflow', `${pinned.version}-${kind()}`);

/** Libraries and headers that the addon is compiled and linked against. */
export const isTensorflowDir = (dir) =>
  ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'include/tensorflow/c/c_api.h'].every((file) =>
    existsSync(join(dir, file)),
  );

/** The folder with the TensorFlow library, or null. Throws when ECHOFORGE_TENSORFLOW_DIR names something else. */
export function findTensorflow() {
  const named = process.env.ECHOFORGE_TENSORFLOW_DIR;
  if (named) {
    const dir = resolve(root, named);
    if (isTensorflowDir(dir)) return dir;
    throw new Error(
      `expected libtensorflow_cc.so.2, libtensorflow_framework.so.2 and include/ in ECHOFORGE_TENSORFLOW_DIR, found none in ${dir}`,
    );
  }
  const dir = join(cached(), 'tensorflow');
  return isTensorflowDir(dir) ? dir : null;
}

export const tensorflow = {
  name: 'TensorFlow',
  async inspect() {
    const where = findTensorflow();
    return where === null ? null : { where };
  },
  async provide({ log }) {
    const locks = join(cacheDir(), 'locks');
    return withLock(
      locks,
      `tensorflow-${kind()}`,
      async () => (await this.inspect()) ?? { ...(await fetchLibrary(log)), where: findTensorflow() },
      { log },
    );
  },
};

async function fetchLibrary(log) {
  const { wheels, archive } = pinned[kind()];
  const work = join(cacheDir(), 'build', `tensorflow-${kind()}`);
  await mkdir(work, { recursive: true });
  const { source } = await firstOf(
    tensorflow.name,
    [
      {
        source: `pip download ${nameOf(wheels[0])}${wheels.length > 1 ? ` and ${wheels.length - 1} CUDA wheels` : ''}`,
        get: () => fromWheels(wheels, work, log),
      },
      {
        source: `libtensorflow ${archive.version} (${new URL(archive.url).host})`,
        get: () => fromArchive(archive, work, log),
      },
    ],
    'install Python 3 with pip (apt-get install python3-pip) and check that pip reaches its index, or unpack the ' +
      `${nameOf(wheels[0])} wheel and set ECHOFORGE_TENSORFLOW_DIR to its tensorflow/ folder, then: npm run setup`,
  );
  await rm(work, { recursive: true, force: true });
  return { state: 'fetched', note: source };
}

const nameOf = ({ name, version }) => `${name}==${version}`;

/**
 * The wheels side by side, as in a site-packages folder: the CUDA library finds nvidia/ relative to itself. A wheel that
 * an interrupted set-up has unpacked is not fetched again, nor is one that pip has in its cache.
 */
async function fromWheels(wheels, work, log) {
  const out = join(work, 'wheels');
  await mkdir(out, { recursive: true });
  for (const wheel of wheels) {
    const done = join(work, `${nameOf(wheel)}.unpacked`);
    if (existsSync(done)) continue;
    await fromWheel(wheel, work, out, log);
    await writeFile(done, '');
  }
  await publish(out);
}

async function fromWheel(wheel, work, out, log) {
  log(`pip download ${nameOf(wheel)}`);
  const dir = join(work, wheel.name);
  await rm(dir, { recursive: true, force: true });
  await run('python3', [...pipDownload, ...pinned.pythonTags, '--dest', dir, nameOf(wheel)], {
    env: { ...process.env, PIP_CACHE_DIR: join(work, 'pip-cache') },
    timeoutMs: 1_800_000,
  });
  const file = join(dir, (await readdir(dir)).find((name) => name.endsWith('.whl')) ?? 'no wheel');
  await checkSha256(file, wheel.sha256);
  const members = wheel.name.startsWith('tensorflow') ? pinned.members : ['nvidia/'];
  await run('python3', ['-c', unzip, file, out, ...members], { timeoutMs: 600_000 });
  await rm(dir, { recursive: true, force: true });
}

const pipDownload =
  '-m pip download --no-deps --only-binary=:all: --disable-pip-version-check --timeout 10 --retries 1'.split(' ');

const unzip = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in wheel.namelist():
        if name.startswith(tuple(sys.argv[3:])):
            wheel.extract(name, sys.argv[2])
`;

async function fromArchive({ url, sha256 }, work, log) {
  const file = join(work, 'libtensorflow.tar.gz');
  await download(url, file, sha256);
  log('unpacking');
  const out = join(work, 'archive');
  const dir = join(out, 'tensorflow');
  await rm(out, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  await run('tar', ['-xzf', file, '-C', dir], { timeoutMs: 300_000 });
  for (const name of await readdir(join(dir, 'lib'))) await rename(join(dir, 'lib', name), join(dir, name));
  // The archive's library has another file name than the wheel's; the addon then needs it by its own soname.
  await symlink('libtensorflow.so.2', join(dir, 'libtensorflow_cc.so.2'));
  await publish(out);
}

async function publish(out) {
  if (!isTensorflowDir(join(out, 'tensorflow'))) throw new Error('the library or its headers are not in it');
  await mkdir(join(cacheDir(), 'tensorflow'), { recursive: true });
  await rm(cached(), { recursive: true, force: true });
  await rename(out, cached());
}
