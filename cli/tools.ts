import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { toolsPrefix } from '../contract/keys.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/**
 * Writes what the tools left for a study, `<tool>/<request>/<file>`; unfinished outputs have no manifest.json.
 * @throws Error when no tool was run on the study
 */
export async function exportTools(options: {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly out: string;
  /** One tool only; null takes all. */
  readonly tool: string | null;
  readonly say: (line: string) => void;
}): Promise<void> {
  const { store, studyId, out, tool, say } = options;
  const root = toolsPrefix(studyId);
  const files = new Map<string, number>();
  for await (const { key } of store.list(tool === null ? root : `${root}${tool}/`)) {
    const name = key.slice(root.length);
    const file = join(out, name);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, await store.get(key));
    files.set(dirname(name), (files.get(dirname(name)) ?? 0) + 1);
  }
  if (files.size === 0)
    throw new Error(
      `expected the output of ${tool ?? 'a tool'} for study ${studyId}, found none below ${root}; see docs/operating.md, Tools`,
    );
  for (const [name, count] of files) say(`${join(out, name)}: ${count} files`);
}
