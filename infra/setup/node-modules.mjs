import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { homeDir, root } from './paths.mjs';
import { withLock } from './lock.mjs';
import { run } from './shell.mjs';
import { firstOf } from './sources.mjs';

const modules = join(root, 'node_modules');
const stampFile = join(modules, '.echoforge-stamp');

export const nodeModules = {
  name: 'node modules',
  async inspect() {
    const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
    const stamp = await readFile(stampFile, 'utf8').catch(() => '');
    const current = stamp === hashOf(lock) || (await installedByHand(lock));
    return current ? { where: modules } : null;
  },
  async provide({ log }) {
    return withLock(
      join(homeDir(), 'locks'),
      'node-modules',
      async () => {
        const lock = await readFile(join(root, 'package-lock.json'), 'utf8');
        const found = await this.inspect();
        if (!found) await install(log);
        if ((await readFile(stampFile, 'utf8').catch(() => '')) !== hashOf(lock))
          await writeFile(stampFile, hashOf(lock));
        return { state: found ? 'found' : 'fetched', where: modules };
      },
      { log },
    );
  },
};

async function install(log) {
  log('npm ci');
  const args = ['ci', '--ignore-scripts', '--no-fund', '--no-audit'];
  await firstOf(
    nodeModules.name,
    [{ source: `npm ${args.join(' ')}`, get: () => run('npm', args, { cwd: root, timeoutMs: 900_000 }) }],
    'check that npm reaches its registry (npm ping), then: npm ci',
  );
}

/** `npm ci` by hand leaves no stamp of ours, but npm's own list of what it installed. */
async function installedByHand(lockText) {
  const hidden = await readFile(join(modules, '.package-lock.json'), 'utf8').catch(() => null);
  if (hidden === null) return false;
  const wanted = JSON.parse(lockText).packages;
  const installed = JSON.parse(hidden).packages;
  const same = (path) => installed[path] !== undefined && installed[path].integrity === wanted[path].integrity;
  return (
    Object.keys(wanted).every((path) => path === '' || wanted[path].optional || same(path)) &&
    Object.keys(installed).every((path) => wanted[path] !== undefined && same(path))
  );
}

const hashOf = (text) => createHash('sha256').update(text).digest('hex');
