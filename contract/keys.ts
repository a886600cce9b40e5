/** Object-store keys. They are built here only, so that the layout of the bucket can be read off one file. */

export const blobKey = (sha256: string): string => `blobs/sha256/${sha256.slice(0, 2)}/${sha256}`;
/** Attempt-unique upload target; copied to its blob key after verification, expired by the bucket's lifecycle. */
export const stagingKey = (nonce: string): string => `staging/${nonce}`;

export const importPrefix = (dataset: string): string => `imports/${dataset}/`;
/** Pointer to the newest import of a dataset: its body is a {@link DatasetImport} reference. */
export const importHeadKey = (dataset: string): string => `datasets/${dataset}/head.json`;

/** Imported weights: the hash in the key makes another file another configuration. */
export const weightsKey = (sha256: string, name: string): string => `weights/${sha256}/${name}`;
/** The hash that such a key promises; null for another key, which promises nothing. */
export const promisedSha256 = (key: string): string | null => /^weights\/([0-9a-f]{64})\/./.exec(key)?.[1] ?? null;

export const studyKey = (studyId: string): string => `studies/${studyId}/study.json`;
export const stepKey = (studyId: string, step: string): string => `studies/${studyId}/steps/${step}.json`;
export const trainingHeadKey = (studyId: string, training: string): string =>
  `studies/${studyId}/training/${training}/head.json`;
/** A file of a training in progress (checkpoint); removed by retention, hence not shared under `blobs/`. */
export const trainingFileKey = (studyId: string, training: string, sha256: string): string =>
  `studies/${studyId}/training/${training}/files/${sha256}`;
/** Result of one finished shard or measurement of a study, found again after a reset or restart. */
export const memoKey = (studyId: string, key: string): string => `studies/${studyId}/memo/${key}.json`;
export const decisionsKey = (studyId: string): string => `studies/${studyId}/decisions.json`;
/** One attempt of one activity; assembled into run.json when the report is placed. */
export const runEntryKey = (studyId: string, name: string): string => `studies/${studyId}/run/${name}.json`;
export const runEntriesPrefix = (studyId: string): string => `studies/${studyId}/run/`;
export const runKey = (studyId: string): string => `studies/${studyId}/run.json`;
export const reportKey = (studyId: string, file: string): string => `studies/${studyId}/report/${file}`;
export const testLedgerKey = (studyId: string): string => `studies/${studyId}/test-ledger.json`;

/** All that tools left for a study. */
export const toolsPrefix = (studyId: string): string => `studies/${studyId}/tools/`;
/** Output of one request of a tool; `request` is a hash of all that its bytes depend on, the engine fingerprint included. */
export const toolKey = (
  { studyId, tool, request }: { readonly studyId: string; readonly tool: string; readonly request: string },
  file: string,
): string => `${toolsPrefix(studyId)}${tool}/${request}/${file}`;

/**
 * Pointer to the features of some images; `key` is a hash of all that they depend on. Of every study, or with `reuse: false` of
 * this one alone.
 */
export const featuresKey = (key: string, studyId: string | null): string =>
  `${studyId === null ? '' : `studies/${studyId}/`}features/${key}.json`;

/** Finished steps of all studies, found by another study that would compute the same. */
export const resultKey = (key: string): string => `results/${key}.json`;
export const releasedModelsKey = (name: string): string => `models/${name}/head.json`;
export const reevaluationsKey = (name: string): string => `models/${name}/reevaluations.json`;

/**
 * Where the weights lie that a generator may start from (`generator.resumeFrom`), and the hash that their name promises: a
 * snapshot by its sha256, a checkpoint by the key of its training, an imported file by its key. Null for any other name.
 */
export function startWeightsOf(name: string): { readonly key: string; readonly sha256: string } | null {
  if (/^[0-9a-f]{64}$/.test(name)) return { key: blobKey(name), sha256: name };
  const checkpoint = /^studies\/[a-z0-9-]+\/training\/generator\/.+\/files\/([0-9a-f]{64})$/.exec(name)?.[1];
  const sha256 = promisedSha256(name) ?? checkpoint;
  return sha256 === undefined ? null : { key: name, sha256 };
}
