import { createHash } from 'node:crypto';
import type { Decision, ResolvedStudy } from '../contract/activities.ts';
import { canonicalJson } from '../contract/canonical-json.ts';
import { decisionsKey, importHeadKey, studyKey } from '../contract/keys.ts';
import type { DatasetImport, RefTo } from '../contract/manifests.ts';
import { identityOf, resolveStudyFile, StudyFileError } from '../contract/resolve-study.ts';
import type { Study } from '../contract/study.ts';
import type { TimeoutProfileName } from '../contract/timeouts.ts';
import { ConfigurationError, DatasetError, NotFoundError } from '../lib/errors.ts';
import type { ObjectStore } from '../lib/storage/object-store.ts';
import { readPointer, updatePointer } from '../lib/storage/pointer.ts';

/** What `studies/<id>/study.json` pins: the configuration that decides bytes, and the import that the study began with. */
interface StudyRecord {
  readonly study: Study;
  readonly source: RefTo<DatasetImport>;
}

/**
 * Resolves the study file. A study that was pinned before gets its pinned import and its earlier decisions.
 * @throws StudyFileError, DatasetError when the dataset was never imported, ConfigurationError when the studyId belongs to
 *   another configuration.
 */
export async function resolveStudy(
  store: ObjectStore,
  { file, workflowId, timeouts }: { file: unknown; workflowId: string; timeouts: TimeoutProfileName },
): Promise<ResolvedStudy> {
  const study = resolveStudyFile(withStudyId(file, workflowId));
  if (workflowId !== `study/${study.studyId}`)
    throw new StudyFileError([
      { path: 'studyId', message: `expected the workflow id study/${study.studyId}, got ${workflowId}` },
    ]);
  const source = await findSource(store, study);
  return {
    study,
    configSha256: createHash('sha256')
      .update(canonicalJson(identityOf(study)))
      .digest('hex'),
    source,
    decisions: await readDecisions(store, study.studyId),
    timeouts,
  };
}

/** Decisions of all executions of a study. Who decided stays in the store: it changes no byte of the result. */
export async function readDecisions(store: ObjectStore, studyId: string): Promise<Decision[]> {
  const stored = await readPointer<{ decisions: readonly (Decision & { by: string })[] }>(store, decisionsKey(studyId));
  return (stored?.value.decisions ?? []).map(({ by, ...decision }) => decision);
}

/** @throws NotFoundError when no study of this id was ever started. */
export async function readStudy(store: ObjectStore, studyId: string): Promise<StudyRecord> {
  const record = await readPointer<StudyRecord>(store, studyKey(studyId));
  if (!record) throw new NotFoundError(studyKey(studyId));
  return record.value;
}

/** A file without studyId takes it from the workflow id. */
function withStudyId(file: unknown, workflowId: string): unknown {
  const id = /^study\/([^/]+)$/.exec(workflowId)?.[1];
  const isObject = typeof file === 'object' && file !== null && !Array.isArray(file);
  return isObject && id !== undefined && !('studyId' in file) ? { studyId: id, ...file } : file;
}

/**
 * Binds the studyId to this configuration and import. Called after the preflight: a file that it refused can be mended
 * under the same studyId. Owner, queues, gates and reuse are those of the newest start: tools go to its queues.
 */
export async function pinStudy(store: ObjectStore, { study, source }: ResolvedStudy): Promise<void> {
  await updatePointer<StudyRecord>(store, studyKey(study.studyId), (present) => {
    if (present !== null) refuseChange(present.study, study);
    return { study, source: present?.source ?? source };
  });
}

async function findSource(store: ObjectStore, study: Study): Promise<RefTo<DatasetImport>> {
  const present = await readPointer<StudyRecord>(store, studyKey(study.studyId));
  if (present) {
    refuseChange(present.value.study, study);
    return present.value.source;
  }
  const head = await readPointer<RefTo<DatasetImport>>(store, importHeadKey(study.dataset.name));
  if (head) return head.value;
  const known: string[] = [];
  for await (const { key } of store.list('datasets/')) known.push(key.split('/')[1] ?? key);
  throw new DatasetError(
    `expected an imported dataset "${study.dataset.name}", found ${known.length > 0 ? known.join(', ') : 'none'}; ` +
      `run: echoforge import DIR --name ${study.dataset.name}`,
  );
}

function refuseChange(pinned: Study, wanted: Study): void {
  const fields = differingFields(identityOf(pinned), identityOf(wanted));
  if (fields.length === 0) return;
  throw new ConfigurationError(
    `study ${wanted.studyId} was started with another configuration; it differs in ${fields.join(', ')}. ` +
      'Give the changed study another studyId, or start it again with the configuration it had.',
  );
}

/** Paths of the leaves that differ, e.g. `generator.totalKimg`. */
export function differingFields(a: unknown, b: unknown, path = ''): string[] {
  if (canonicalJson(a ?? null) === canonicalJson(b ?? null)) return [];
  if (!isRecord(a) || !isRecord(b)) return [`${path} (${JSON.stringify(a)} -> ${JSON.stringify(b)})`];
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return names.flatMap((name) => differingFields(a[name], b[name], path === '' ? name : `${path}.${name}`));
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
