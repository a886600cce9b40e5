import { readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The clone. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const versions = JSON.parse(readFileSync(new URL('versions.json', import.meta.url), 'utf8'));

/** What set-up fetches or builds: shared by all clones of a user, one sub-folder per layout. */
export function cacheDir(env = process.env) {
  return join(cacheBase(env), versions.cacheLayout);
}

function cacheBase(env) {
  if (env.ECHOFORGE_CACHE) return resolve(env.ECHOFORGE_CACHE);
  if (env.XDG_CACHE_HOME) return join(resolve(env.XDG_CACHE_HOME), 'echoforge');
  return join(env.HOME || homedir(), '.cache', 'echoforge');
}

/** Stack data and secrets. A relative ECHOFORGE_HOME is taken from the clone, so that every command means the same one. */
export function homeDir(env = process.env) {
  return resolve(root, env.ECHOFORGE_HOME || '.echoforge');
}

export const tfjsPackage = join(root, 'node_modules', '@tensorflow', 'tfjs-node-gpu');
export const bindingFile = join(tfjsPackage, 'lib', 'napi-v8', 'tfjs_binding.node');

export const toolFile = (name, env = process.env) => join(cacheDir(env), name, versions[name].version, name);

/** cpu or gpu: which TensorFlow library this machine gets. */
export function deviceKind(env, driver) {
  const wanted = env.ECHOFORGE_DEVICE || '';
  if (wanted !== '' && wanted !== 'cpu' && wanted !== 'gpu')
    throw new Error(`expected ECHOFORGE_DEVICE to be cpu or gpu, found "${wanted}"`);
  return wanted || (driver ? 'gpu' : 'cpu');
}

export const nvidiaDriverFile = '/proc/driver/nvidia/version';

/** Whether the module is what node was started with, also by a symbolic link. */
export const isMain = ({ filename }) => process.argv[1] !== undefined && realpathSync(process.argv[1]) === filename;
