import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findSupervisors } from './processes.ts';

/** What a running stack tells the other commands. */
export interface StackFile {
  readonly supervisor: number;
  readonly env: Readonly<Record<string, string>>;
  readonly ui: string;
  readonly console: string;
  /** Directory of the `temporal` command. */
  readonly bin: string;
}

const fileOf = (home: string): string => join(home, 'stack.json');

export async function writeStackFile(home: string, content: StackFile): Promise<void> {
  await writeFile(`${fileOf(home)}.part`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await rename(`${fileOf(home)}.part`, fileOf(home));
}

export const removeStackFile = (home: string): Promise<void> => rm(fileOf(home), { force: true });

/** Null when no stack of this home runs. */
export async function readStackFile(home: string): Promise<StackFile | null> {
  const text = await readFile(fileOf(home), 'utf8').catch(() => null);
  if (text === null) return null;
  const content = JSON.parse(text) as StackFile; // written above
  return (await findSupervisors(home)).includes(content.supervisor) ? content : null;
}
