import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { cacheDir, homeDir, isMain, root } from './paths.mjs';
import { readableSize, sizeOf } from './shell.mjs';

const usage = 'usage: npm run clean -- [--cache] [--data] [--yes]   (neither: both)';

/** Frees the cache (every layout of it) and the stack's data with all studies in it, after asking. */
export async function clean({ cache, data, yes, log = console.log }) {
  const targets = [...(cache ? await layouts() : []), ...(data && existsSync(homeDir()) ? [homeDir()] : [])];
  if (targets.length === 0) return log('nothing to free');
  for (const target of targets) refuseOuter(target);
  for (const target of targets) log(`${readableSize(await sizeOf(target)).padStart(9)}  ${target}`);
  if (!yes && !(await agreed(data))) return log('nothing was removed');
  for (const target of targets) await rm(target, { recursive: true, force: true });
  log('removed; npm run setup brings the cache back');
}

/** Only our own sub-folders: ECHOFORGE_CACHE may name a folder that holds other things. */
async function layouts() {
  const base = dirname(cacheDir());
  const names = await readdir(base).catch(() => []);
  return names.filter((name) => /^v\d+$/.test(name)).map((name) => join(base, name));
}

/** A wrong ECHOFORGE_HOME must not cost the clone or somebody's home folder. */
function refuseOuter(target) {
  for (const precious of [root, homedir()])
    if (!relative(target, precious).startsWith('..'))
      throw new Error(`expected a folder of its own, found ${target}, which holds ${precious}; correct ECHOFORGE_HOME`);
}

async function agreed(data) {
  if (!process.stdin.isTTY) throw new Error('expected a terminal to ask, found none; add --yes');
  const ask = createInterface({ input: process.stdin, output: process.stdout });
  const what = data ? 'Remove all of it, studies included? The stack must be down (npm run down).' : 'Remove it?';
  const answer = await ask.question(`${what} [y/N] `);
  ask.close();
  return /^y(es)?$/i.test(answer.trim());
}

if (isMain(import.meta)) {
  const flags = process.argv.slice(2);
  const known = ['--cache', '--data', '--yes'];
  const both = !flags.includes('--cache') && !flags.includes('--data');
  try {
    if (flags.some((flag) => !known.includes(flag))) throw new Error(usage);
    await clean({
      cache: both || flags.includes('--cache'),
      data: both || flags.includes('--data'),
      yes: flags.includes('--yes'),
    });
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
