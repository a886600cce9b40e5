import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { download } from './download.mjs';
import { withLock } from './lock.mjs';
import { cacheDir, toolFile, versions } from './paths.mjs';
import { attempt, run, which } from './shell.mjs';
import { firstOf } from './sources.mjs';

/** `a` >= `b` for dotted numbers. */
export function isAtLeast(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  for (let i = 0; i < right.length; i++) if (left[i] !== right[i]) return (left[i] ?? 0) > right[i];
  return true;
}

/** The server inside a `temporal` program, from its version line, is new enough for the features used. */
export function isServerNewEnough(versionLine) {
  const server = /Server (\d+\.\d+\.\d+)/.exec(versionLine)?.[1];
  return server !== undefined && isAtLeast(server, versions.temporal.minServer);
}

/** The usable `temporal`: on PATH when its server is new enough, else in the cache, else null. */
export async function findTemporal() {
  const onPath = which('temporal');
  if (onPath !== null && isServerNewEnough(await versionOf(onPath))) return onPath;
  return existsSync(toolFile('temporal')) ? toolFile('temporal') : null;
}

/** The usable `minio` or `silo`: on PATH, else in the cache, else null. The stack probes what it can do. */
export async function findMinio() {
  for (const name of ['minio', 'silo']) {
    const onPath = which(name);
    if (onPath !== null && /^(minio|silo) version/i.test(await versionOf(onPath))) return onPath;
  }
  return existsSync(toolFile('minio')) ? toolFile('minio') : null;
}

const versionOf = async (file) =>
  attempt(file, ['--version'], { timeoutMs: 10_000 }).then(
    ({ stdout }) => stdout,
    () => '',
  );

const part = (name, find, provide) => ({
  name,
  inspect: async () => {
    const where = await find();
    return where === null ? null : { where };
  },
  provide: ({ log }) =>
    withLock(
      join(cacheDir(), 'locks'),
      name.toLowerCase(),
      async () => {
        const where = await find();
        return where === null ? provide(log) : { where };
      },
      { log },
    ),
});

export const temporal = part('Temporal', findTemporal, async (log) => {
  const { version, archive } = versions.temporal;
  return obtain('temporal', [
    { source: `release archive ${version} (${new URL(archive.url).host})`, get: () => fromArchive(log) },
    { source: `go install ${versions.temporal.module}`, get: () => goInstall('temporal', log) },
  ]);
});

export const minio = part('MinIO', findMinio, async (log) =>
  obtain('minio', [{ source: `go install ${versions.minio.module}`, get: () => goInstall('minio', log) }]),
);

async function obtain(name, sources) {
  const { source, value } = await firstOf(
    name === 'temporal' ? 'Temporal' : 'MinIO',
    sources,
    `install Go 1.25 or newer (https://go.dev/doc/install) with access to its module proxy, or put \`${name}\` on PATH, then: npm run setup`,
  );
  return { state: value, where: toolFile(name), note: source };
}

async function fromArchive(log) {
  const { archive } = versions.temporal;
  const dir = join(cacheDir(), 'build', 'temporal-archive');
  await mkdir(dir, { recursive: true });
  try {
    await download(archive.url, join(dir, 'temporal.tar.gz'), archive.sha256);
    log('unpacking');
    await run('tar', ['-xzf', join(dir, 'temporal.tar.gz'), '-C', dir], { timeoutMs: 60_000 });
    if (!isServerNewEnough(await versionOf(join(dir, 'temporal')))) throw new Error('the program in it does not run');
    await publish(join(dir, 'temporal'), toolFile('temporal'));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  return 'fetched';
}

/** Modules and objects stay in the cache until a build succeeds, so that an interrupted one goes on where it was. */
async function goInstall(name, log) {
  const { module, ldflags } = versions[name];
  const work = join(cacheDir(), 'build', `go-${name}`);
  await mkdir(work, { recursive: true });
  const env = {
    ...process.env,
    CGO_ENABLED: '0',
    GOBIN: join(work, 'bin'),
    GOPATH: join(work, 'path'),
    GOCACHE: join(work, 'objects'),
    GOFLAGS: '-modcacherw', // otherwise the folder cannot be removed again
  };
  const [path, version] = module.split('@');
  const root = path.replace(/\/cmd\/.*$/, '');
  await run('go', ['list', '-m', `${root}@${version}`], { cwd: work, env, timeoutMs: 20_000 }); // unreachable: soon known
  log('go install');
  await run('go', ['install', '-ldflags', ldflags, module], { cwd: work, env, timeoutMs: 1_800_000 });
  await run(join(work, 'bin', name), ['--version'], { timeoutMs: 20_000 });
  await publish(join(work, 'bin', name), toolFile(name));
  await rm(work, { recursive: true, force: true });
  return 'built';
}

async function publish(from, to) {
  await mkdir(dirname(to), { recursive: true });
  await chmod(from, 0o755);
  await rename(from, to);
}
