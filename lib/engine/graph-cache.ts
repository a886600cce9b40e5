import { createHash, type Hash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { modelFile } from './saved-model.ts';

/**
 * Recorded graphs in a folder of the user, one sub-folder per key, so that a later process need not record them. A cache and no
 * more: what cannot be read is recorded again, what cannot be written is not kept.
 */

/** Variables by their place among those of the step. */
export interface StoredStep {
  /** Outputs of nodes to feed, `name:index`: the inputs of the step, then the variables that it reads. */
  readonly feeds: readonly string[];
  /** The outputs of the step, then the variables that it assigns. */
  readonly fetches: readonly string[];
  readonly reads: readonly number[];
  readonly outputs: readonly string[];
  readonly assigns: readonly number[];
}

let folder: string | null = null;

/** Entries that nothing read for this long are removed when one is written. */
const keptMs = 30 * 24 * 3600 * 1000;
const stepFile = 'step.json';

/** Takes graphs from `dir` and keeps them there from now on; null: nowhere, as at the start. */
export function keepGraphsIn(dir: string | null): void {
  folder = dir;
}

/** Hash of what a graph was recorded from: `facts` about the step and the code that computes it. Null without a cache. */
export function graphKey(facts: unknown): string | null {
  if (folder === null) return null;
  return createHash('sha256').update(codeHash()).update(JSON.stringify(facts)).digest('hex');
}

/** What `open` makes of the whole entry; null where there is none or a damaged one. */
export function readGraph<T>(key: string, open: (dir: string, step: StoredStep) => T): T | null {
  if (folder === null) return null;
  const dir = join(folder, key);
  try {
    const { sha256, ...step } = JSON.parse(readFileSync(join(dir, stepFile), 'utf8')) as StoredStep & {
      sha256: string;
    };
    if (checksum(readFileSync(join(dir, modelFile)), step) !== sha256) throw new Error('damaged');
    const now = new Date();
    utimesSync(dir, now, now);
    return open(dir, step);
  } catch {
    return null;
  }
}

/** Keeps a graph, in place of one that was damaged; the entry appears whole. */
export function writeGraph(key: string, model: Uint8Array, step: StoredStep): void {
  if (folder === null) return;
  let part: string | null = null;
  try {
    mkdirSync(folder, { recursive: true });
    removeOld(folder);
    part = mkdtempSync(join(folder, '.part-'));
    writeFileSync(join(part, modelFile), model);
    writeFileSync(join(part, stepFile), JSON.stringify({ ...step, sha256: checksum(model, step) }));
    rmSync(join(folder, key), { recursive: true, force: true });
    renameSync(part, join(folder, key));
  } catch {
    // A full or foreign disk, or another process that was first. What is left of it must not keep the disk full.
    if (part !== null) rmSync(part, { recursive: true, force: true });
  }
}

const checksum = (model: Uint8Array, step: StoredStep): string =>
  createHash('sha256').update(model).update(JSON.stringify(step)).digest('hex');

function removeOld(dir: string): void {
  for (const name of readdirSync(dir)) {
    const entry = join(dir, name);
    if (Date.now() - statSync(entry).mtimeMs > keptMs) rmSync(entry, { recursive: true, force: true });
  }
}

let code: string | null = null;

/** Of everything that decides what a step computes: our sources, and the exact versions of packages. */
function codeHash(): string {
  code ??= hashCode(new URL('../../', import.meta.url));
  return code;
}

function hashCode(root: URL): string {
  const packages = createHash('sha256').update(readFileSync(new URL('package.json', root)));
  return addSources(packages, new URL('lib/', root)).digest('hex');
}

function addSources(hash: Hash, dir: URL): Hash {
  const entries = readdirSync(dir, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    if (entry.isDirectory()) addSources(hash, new URL(`${entry.name}/`, dir));
    else hash.update(entry.name).update(readFileSync(new URL(entry.name, dir)));
  }
  return hash;
}
