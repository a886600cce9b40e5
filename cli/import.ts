import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { importHeadKey } from '../contract/keys.ts';
import type { DatasetImport, RefTo } from '../contract/manifests.ts';
import { DatasetError } from '../lib/errors.ts';
import { putBlobFile, putManifest } from '../lib/storage/blobs.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { updatePointer } from '../lib/storage/pointer.ts';

interface Options {
  readonly store: ObjectStore;
  readonly dir: string;
  readonly say: (line: string) => void;
}

/**
 * Stores a folder with one folder per class as a dataset; the newest import of a name is what a new study takes.
 * @throws DatasetError when the folder cannot be a dataset.
 */
export async function importFolder({ store, dir, name, say }: Options & { name: string }): Promise<void> {
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw new DatasetError(`expected --name of 1-63 lower-case letters, digits and dashes, got "${name}"`);
  const paths = await listFiles(dir);
  const folders = countFolders(paths);
  const files: DatasetImport['files'][number][] = [];
  for (const path of paths) {
    files.push({ path, blob: await putBlobFile(store, join(dir, path)) });
    if (files.length % 100 === 0) say(`${files.length} of ${paths.length} files stored`);
  }
  const manifest = await putManifest<DatasetImport>(store, { kind: 'import', name, files });
  await updatePointer<RefTo<DatasetImport>>(store, importHeadKey(name), () => manifest);
  say(`dataset ${name}: ${describeFolders(folders)}; manifest ${manifest.sha256.slice(0, 12)}`);
}

/** Uploads the same tree as plain objects, as other systems would drop them into the bucket. */
export async function uploadPrefix({ store, dir, prefix, say }: Options & { prefix: string }): Promise<void> {
  const paths = await listFiles(dir);
  const root = prefix.endsWith('/') ? prefix : `${prefix}/`;
  for (const path of paths) await store.putFile(`${root}${path}`, join(dir, path));
  say(`${root}: ${describeFolders(countFolders(paths))}`);
}

const describeFolders = (folders: ReadonlyMap<string, number>): string =>
  [...folders].map(([folder, count]) => `${folder} ${count}`).join(', ');

/** Files below `dir`, sorted, `/` as separator; hidden files are left out. @throws DatasetError when there are none. */
async function listFiles(dir: string): Promise<string[]> {
  const info = await stat(dir).catch(() => null);
  if (!info?.isDirectory()) throw new DatasetError(`expected a folder with one folder per class, found none at ${dir}`);
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('.'));
  const below = paths.filter((path) => path.includes('/'));
  if (below.length === 0)
    throw new DatasetError(
      `expected one folder per class below ${dir}, found ${paths.length > 0 ? `${paths.length} loose files` : 'nothing'}`,
    );
  return below.sort();
}

function countFolders(paths: readonly string[]): Map<string, number> {
  const folders = new Map<string, number>();
  for (const path of paths) {
    const folder = path.slice(0, path.indexOf('/'));
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
  }
  return folders;
}
