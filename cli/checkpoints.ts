import { trainingFileKey, trainingHeadKey } from '../contract/keys.ts';
import { generatorStateSchema } from '../contract/training-state.ts';
import { NotFoundError } from '../lib/errors.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readHead } from '../lib/storage/training-head.ts';

/**
 * Lists what another study can start its generators from (`generator.resumeFrom`): the checkpoints that each training of a
 * study has kept, which hold both networks, and its snapshots, which hold the averaged generator alone.
 * @throws NotFoundError when the study has trained no generator
 */
export async function listCheckpoints(options: {
  readonly store: ObjectStore;
  readonly studyId: string;
  readonly say: (line: string) => void;
}): Promise<void> {
  const { store, studyId, say } = options;
  const prefix = `studies/${studyId}/training/`;
  let trainings = 0;
  for await (const { key } of store.list(`${prefix}generator/`)) {
    if (!key.endsWith('/head.json')) continue;
    const name = key.slice(prefix.length, -'/head.json'.length);
    const head = await readHead(store, trainingHeadKey(studyId, name));
    const { kept, snapshots } = generatorStateSchema.parse(head?.state);
    for (const { at, file } of kept)
      say(`${name}, ${at / 1000} kimg, both networks: ${trainingFileKey(studyId, name, file.sha256)}`);
    for (const { nimg, weights } of snapshots) say(`${name}, ${nimg / 1000} kimg, G alone: ${weights.sha256}`);
    trainings++;
  }
  if (trainings === 0) throw new NotFoundError(`${prefix}generator/ (a generator of study ${studyId})`);
}
