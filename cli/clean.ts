import { createInterface } from 'node:readline/promises';
import type { ObjectStore } from '../lib/storage/object-store.ts';

/** Deletes what lies under `studies/<id>/`, asking first. Blobs are shared between studies and stay. */
export async function cleanStudy(options: {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly confirmed: boolean;
  readonly say: (line: string) => void;
}): Promise<void> {
  const { store, studyId, confirmed, say } = options;
  const keys: string[] = [];
  let bytes = 0;
  for await (const object of store.list(`studies/${studyId}/`)) {
    keys.push(object.key);
    bytes += object.bytes;
  }
  if (keys.length === 0) throw new Error(`the store holds nothing of a study ${studyId}`);
  say(`study ${studyId}: ${keys.length} objects, ${(bytes / 1e6).toFixed(1)} MB`);
  if (!confirmed) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(
      'Delete its checkpoints, report and progress? It cannot be resumed then. [y/N] ',
    );
    terminal.close();
    if (!/^y(es)?$/i.test(answer)) {
      say('nothing deleted');
      return;
    }
  }
  for (const key of keys) await store.delete(key);
  say('deleted');
}
